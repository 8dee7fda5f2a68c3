"""Neighbourhood attention: every query attends to the k x k keys around it, dilated if asked, with a position bias.

The semantics, and the rule for maps too small for the neighbourhood, are those of the NATTEN versions (up to 0.15) that
the published NAT and DiNAT models were trained with.

Legend: B batch, H W map, C channels, h heads, d head width, k kernel.
"""

from functools import lru_cache, partial
from types import ModuleType

import torch
from torch import Tensor, nn

from denseformer.attention.neighborhood.plain import gathered_attention
from denseformer.attention.neighborhood.tiles import tiled_attention, tiled_attention_backward
from denseformer.dynamic_shapes import is_symbolic
from denseformer.kernels.double_backward import gradients_of
from denseformer.kernels.linear import Linear


def neighborhood_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    kernel_size: int,
    dilation: int = 1,
    bias: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """Softmax attention of every query over its kernel_size x kernel_size neighbourhood.

    On each axis of length L, positions with the same remainder modulo `dilation` form a group; a query attends to
    kernel_size consecutive members of its group, centred on it and moved inwards at the border.

    Args:
        q, k, v: (B, H, W, h, d), of one shape, dtype and device, H and W at least kernel_size * dilation.
        kernel_size: side of the neighbourhood in keys, odd.
        dilation: distance between neighbouring keys, in positions.
        bias: (h, 2k-1, 2k-1), added to the logit of each pair at [key - query + k - 1], in members of the group;
            any floating dtype.
        scale: of the products, d ** -0.5 by default.

    Returns:
        (B, H, W, h, d), differentiable in q, k, v and bias; a second time with k * k copies of keys and values.
    """
    check_arguments(q, k, v, kernel_size, dilation, bias)
    return attend(q, k, v, bias, kernel_size, dilation, q.shape[-1] ** -0.5 if scale is None else scale)


def check_arguments(q: Tensor, k: Tensor, v: Tensor, kernel_size: int, dilation: int, bias: Tensor | None) -> None:
    check_neighborhood(kernel_size, dilation)
    if q.ndim != 5 or q.shape != k.shape or q.shape != v.shape:
        shapes = f'{tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}'
        raise ValueError(f'q, k and v must have one shape (B, H, W, heads, head width), got {shapes}.')
    if not q.dtype == k.dtype == v.dtype:
        raise ValueError(f'q, k and v must have one dtype, got {q.dtype}, {k.dtype}, {v.dtype}; cast them first.')
    (height, width), need = q.shape[1:3], kernel_size * dilation
    if min(height, width) < need:
        raise ValueError(
            f'A {height} x {width} map is smaller than kernel_size * dilation = {kernel_size} * {dilation} = {need}; '
            'pad it, or use NeighborhoodAttention, which does.'
        )
    expected = (q.shape[3], 2 * kernel_size - 1, 2 * kernel_size - 1)
    if bias is not None and tuple(bias.shape) != expected:
        raise ValueError(f'bias must be (heads, 2k-1, 2k-1) = {expected}, got {tuple(bias.shape)}.')


def check_neighborhood(kernel_size: int, dilation: int) -> None:
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f'kernel_size must be odd and positive, got {kernel_size}.')
    if dilation < 1:
        raise ValueError(f'dilation must be at least 1, got {dilation}.')


@torch.library.custom_op('denseformer::neighborhood_attention', mutates_args=())
def attend(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, kernel_size: int, dilation: int, scale: float
) -> Tensor:
    """`neighborhood_attention` unchecked; k and v may be larger maps than q, which is then their top left part.

    On a side shorter than kernel_size * dilation their last row or column stands for all that are missing.

    One operator to `torch.compile`, which need not look inside. On CUDA it is a fused Triton kernel where Triton is
    installed; everywhere else, a computation in tiles.
    """
    with torch.autocast(q.device.type, enabled=False):
        return tiled_attention(single(q), single(k), single(v), bias, kernel_size, dilation, scale).to(q.dtype)


def single(x: Tensor) -> Tensor:
    """A processor's float16 in float32: few multiply matrices of float16, and the others take twenty times as long."""
    return x.float() if x.dtype is torch.float16 and x.device.type == 'cpu' else x


@attend.register_kernel('cuda')
def _(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, kernel_size: int, dilation: int, scale: float) -> Tensor:
    kernels = triton_kernels()
    with torch.cuda.device_of(q), torch.autocast('cuda', enabled=False):
        run = kernels.fused_attention if kernels and kernels.supports(q) else tiled_attention
        return run(q, k, v, bias, kernel_size, dilation, scale)


@attend.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, kernel_size: int, dilation: int, scale: float) -> Tensor:
    return torch.empty_like(q, memory_format=torch.contiguous_format)


@torch.library.custom_op('denseformer::neighborhood_attention_backward', mutates_args=())
def attend_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, kernel_size: int, dilation: int, scale: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of q, k, v and bias (zeros of one head without a bias)."""
    with torch.autocast(q.device.type, enabled=False):
        maps = (single(grad), single(q), single(k), single(v))
        *grads, grad_bias = tiled_attention_backward(*maps, bias, kernel_size, dilation, scale)
    return *(x.to(q.dtype) for x in grads), grad_bias if bias is None else grad_bias.to(bias.dtype)


@attend_backward.register_kernel('cuda')
def _(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, kernel_size: int, dilation: int, scale: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    kernels = triton_kernels()
    with torch.cuda.device_of(q), torch.autocast('cuda', enabled=False):
        run = kernels.fused_attention_backward if kernels and kernels.supports(q) else tiled_attention_backward
        *grads, grad_bias = run(grad, q, k, v, bias, kernel_size, dilation, scale)
    return *grads, grad_bias if bias is None else grad_bias.to(bias.dtype)


@lru_cache(maxsize=1)
def triton_kernels() -> ModuleType | None:
    try:
        from denseformer.attention.neighborhood import triton_kernels as neighborhood_triton
    except ImportError:  # no Triton for this platform
        return None
    return neighborhood_triton


@attend_backward.register_fake
def _(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, kernel_size: int, dilation: int, scale: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    side = 2 * kernel_size - 1
    grad_bias = q.new_empty(1, side, side, dtype=torch.float32) if bias is None else torch.empty_like(bias)
    grads = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
    return *grads, grad_bias


def _save(ctx, inputs, output: Tensor) -> None:
    q, k, v, bias, ctx.kernel_size, ctx.dilation, ctx.scale = inputs
    ctx.save_for_backward(q, k, v, bias)


def _backward(ctx, grad: Tensor):
    q, k, v, bias = ctx.saved_tensors
    if torch.is_grad_enabled():  # this gradient will be differentiated itself
        plain = partial(gathered_attention, kernel_size=ctx.kernel_size, dilation=ctx.dilation, scale=ctx.scale)
        return *gradients_of(plain, (q, k, v, bias), grad), None, None, None
    *grads, grad_bias = attend_backward(grad, q, k, v, bias, ctx.kernel_size, ctx.dilation, ctx.scale)
    return *grads, None if bias is None else grad_bias, None, None, None


attend.register_autograd(_backward, setup_context=_save)


class NeighborhoodAttention(nn.Module):
    """Multi-head neighbourhood attention with a learned bias per relative position: (B, H, W, C) -> the same.

    A map with a side shorter than kernel_size * dilation is zero-padded to it on the right and at the bottom before
    the projections, and the padding is attended to like any other token, as the published models were trained.
    """

    def __init__(self, dim: int, heads: int, *, kernel_size: int = 7, dilation: int = 1):
        super().__init__()
        check_neighborhood(kernel_size, dilation)
        if dim % heads:
            raise ValueError(f'dim {dim} must be a multiple of heads {heads}.')
        self.heads, self.kernel_size, self.dilation = heads, kernel_size, dilation
        self.qkv = Linear(dim, 3 * dim)
        self.rpb = nn.Parameter(torch.empty(heads, 2 * kernel_size - 1, 2 * kernel_size - 1))
        self.proj = Linear(dim, dim)
        nn.init.trunc_normal_(self.rpb, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        B, H, W, C = x.shape
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(3)  # each (B, H, W, h, d)
        need = self.kernel_size * self.dilation
        if is_symbolic(H, W) or min(H, W) < need:
            size = (B, *(torch.sym_max(side, torch.sym_min(side + 1, need)) for side in (H, W)))
            k, v = (self.padded(map_, i, size) for i, map_ in ((1, k), (2, v)))
        out = attend(q, k, v, self.rpb, self.kernel_size, self.dilation, (C // self.heads) ** -0.5)
        return self.proj(out.flatten(3))  # (B, H, W, C)

    def padded(self, x: Tensor, part: int, size: tuple[int, ...]) -> Tensor:
        """Keys or values (B, H, W, h, d), the `part` of the projection, with a zero token's on the sides of `size`."""
        token = self.qkv.bias.unflatten(0, (3, self.heads, -1))[part].to(x.dtype)  # (h, d)
        map_ = token.expand(*size, -1, -1).clone()  # (B, H', W', h, d)
        map_[:, : x.shape[1], : x.shape[2]] = x
        return map_

    def extra_repr(self) -> str:
        return f'heads={self.heads}, kernel_size={self.kernel_size}, dilation={self.dilation}'
