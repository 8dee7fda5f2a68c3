"""Faster ways, mostly on CPU, to compute what layers and attention operators define; one switch turns them all off.

A `forward` states its definition in plain PyTorch and hands over in one line where a kernel takes its place:
`if kernels.linear.applies(x, self.weight): return kernels.linear.linear(x, self.weight, self.bias)`.

    products         the precision that they are computed in, for all that follows
    linear           products through oneDNN: all linear layers
    mlp              GELU before one, or between two, the hidden map in parts
    attention        softmax attention in bfloat16 or with a learned bias, a few windows, heads or queries at a time
    padded_heads     the same where queries and values differ in width
    rest             the same over some of the keys of a softmax
    depthwise        the gradient of wide depth-wise convolutions
    dynamic_conv     convolutions with a kernel for each pixel, in strips
    mamba_ssm        the compiled scans of that package, on CUDA
    double_backward  gradients of these gradients, which gradient penalties need

`kernels.disabled()` or `DENSEFORMER_KERNELS=off` computes everything by the definitions.
"""

from denseformer.kernels import attention, depthwise, dynamic_conv, linear, mlp, padded_heads, products, rest
from denseformer.kernels.switch import disabled, enabled, is_tracing, use

__all__ = [
    'attention',
    'depthwise',
    'disabled',
    'dynamic_conv',
    'enabled',
    'is_tracing',
    'linear',
    'mlp',
    'padded_heads',
    'products',
    'rest',
    'use',
]
