"""One-bit attention, "BinaryAttention: One-Bit QK-Attention for Vision and Diffusion Transformers".

Official code: https://github.com/EdwardChasel/BinaryAttention (Apache-2.0).

Queries and keys keep their signs and one magnitude per head; the weights of attention have 255 levels, values eight
bits per channel. The numbers are those that an integer kernel computes; here they are simulated in floating point, and
gradients pass as if nothing had been rounded.

Legend: B batch, h heads, N tokens, d head width.
"""

import torch
from torch import Tensor

LEVELS = 255
"""Steps between a weight of 0 and one of 1."""
LARGEST = 127
"""The largest magnitude of an eight-bit value."""
VALUE_RANGE = 2.0
"""Values beyond it have no gradient."""
TINY = 1e-6


def with_gradient_of(value: Tensor, smooth: Tensor) -> Tensor:
    """`value` going forward, the gradient of `smooth` going back."""
    return value.detach() + (smooth - smooth.detach())


def signs(x: Tensor) -> Tensor:
    """-1 for negative numbers, else 1; gradients pass between -1 and 1."""
    return with_gradient_of(torch.where(x < 0, -1.0, 1.0).to(x.dtype), x.clamp(-1, 1))


def one_bit(x: Tensor) -> Tensor:
    """(B, h, N, d) -> the signs times the mean magnitude of each head."""
    return x.abs().mean((-2, -1), keepdim=True) * signs(x)


def quantize_weights(weights: Tensor) -> Tensor:
    """Weights in 0 .. 1 in steps of 1 / 255."""
    return with_gradient_of((weights / (1 / LEVELS)).round() * (1 / LEVELS), weights)


def quantize_values(values: Tensor) -> Tensor:
    """(B, h, N, d) in 127 steps of each channel's largest magnitude, on either side of 0."""
    scale = LARGEST / (values.abs().amax(-2, keepdim=True) + TINY)
    return with_gradient_of((values * scale).round() / (scale + TINY), values.clamp(-VALUE_RANGE, VALUE_RANGE))


def binary_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, *, quantize: bool = True) -> Tensor:
    """Attention with one-bit queries and keys: each (B, h, N, d) -> (B, N, h * d).

    bias: (1, h, N, N), added to the logits; quantize: round weights and values, too.
    """
    logits = one_bit(q) @ one_bit(k).transpose(-2, -1) * q.shape[-1] ** -0.5
    weights = (logits if bias is None else logits + bias).softmax(-1)
    if quantize:
        weights, v = quantize_weights(weights), quantize_values(v)
    return (weights @ v).transpose(1, 2).flatten(2)
