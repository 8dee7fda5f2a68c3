"""Neighborhood attention: every query attends to the k x k keys around it, dilated if asked, with a position bias.

The semantics, and the rule for maps too small for the neighborhood, are those of the NATTEN versions (up to 0.15) that
the published NAT and DiNAT models were trained with.

    plain           the definition, at the cost of k * k copies of keys and values
    tiles           the kernel for any device: keys gathered once per tile, dense products with a mask
    geometry        what is irregular in it: which positions are whose queries and keys
    triton_kernels  the kernel for CUDA
    operator        the operator that chooses between the kernels

Legend: B batch, H W map, C channels, h heads, d head width, k kernel.
"""

from collections.abc import Sequence

from torch import Tensor

from denseformer import kernels
from denseformer.attention.neighborhood.operator import attention_op
from denseformer.attention.neighborhood.plain import gathered_attention

__all__ = ['check_neighborhood', 'neighborhood_attention', 'unchecked_attention']


def neighborhood_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    kernel_size: int,
    dilation: int | Sequence[int] = 1,
    bias: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """Softmax attention of every query over its kernel_size x kernel_size neighborhood.

    On each axis, positions with the same remainder modulo its dilation form a group; a query attends to kernel_size
    consecutive members of its group, centred on it and moved inwards at the border.

    Args:
        q, k, v: (B, H, W, h, d), of one shape, dtype and device, H and W at least kernel_size * dilation.
        kernel_size: side of the neighborhood in keys, odd.
        dilation: distance between neighboring keys, in positions; one of rows and one of columns where they differ.
        bias: (h, 2k-1, 2k-1), added to the logit of each pair at [key - query + k - 1], in members of the group;
            any floating dtype.
        scale: of the products, d ** -0.5 by default.

    Returns:
        (B, H, W, h, d), differentiable in q, k, v and bias; a second time with k * k copies of keys and values.
    """
    check_arguments(q, k, v, kernel_size, dilation, bias)
    return unchecked_attention(q, k, v, bias, kernel_size, dilation, q.shape[-1] ** -0.5 if scale is None else scale)


def check_arguments(
    q: Tensor, k: Tensor, v: Tensor, kernel_size: int, dilation: int | Sequence[int], bias: Tensor | None
) -> None:
    """Raise ValueError for arguments that `neighborhood_attention` does not take."""
    steps = per_axis(dilation)
    check_neighborhood(kernel_size, min(steps))
    if q.ndim != 5 or q.shape != k.shape or q.shape != v.shape:
        shapes = f'{tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}'
        raise ValueError(f'q, k and v must have one shape (B, H, W, heads, head width), got {shapes}.')
    if not q.dtype == k.dtype == v.dtype:
        raise ValueError(f'q, k and v must have one dtype, got {q.dtype}, {k.dtype}, {v.dtype}; cast them first.')
    height, width = q.shape[1:3]
    for side, step in zip((height, width), steps, strict=True):
        if side < kernel_size * step:
            need = f'{kernel_size} * {step} = {kernel_size * step}'
            raise ValueError(
                f'A {height} x {width} map is smaller than kernel_size * dilation = {need}; '
                'pad it, or use NeighborhoodAttention, which does.'
            )
    expected = (q.shape[3], 2 * kernel_size - 1, 2 * kernel_size - 1)
    if bias is not None and tuple(bias.shape) != expected:
        raise ValueError(f'bias must be (heads, 2k-1, 2k-1) = {expected}, got {tuple(bias.shape)}.')


def check_neighborhood(kernel_size: int, dilation: int) -> None:
    """Raise ValueError unless kernel_size is odd and dilation positive."""
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f'kernel_size must be odd and positive, got {kernel_size}.')
    if dilation < 1:
        raise ValueError(f'dilation must be at least 1, got {dilation}.')


def unchecked_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, kernel_size: int, dilation: int | Sequence[int], scale: float
) -> Tensor:
    """`neighborhood_attention` unchecked; k and v may be larger maps than q, which is then their top left part.

    On a side shorter than kernel_size * dilation their last row or column stands for all that are missing.
    """
    if kernels.enabled():
        return attention_op(q, k, v, bias, kernel_size, per_axis(dilation), scale)
    return gathered_attention(q, k, v, bias, kernel_size, per_axis(dilation), scale)


def per_axis(dilation: int | Sequence[int]) -> Sequence[int]:
    """The dilation of rows and that of columns."""
    return (dilation, dilation) if isinstance(dilation, int) else dilation
