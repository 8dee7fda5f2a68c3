"""Neighborhood attention in operators that every exchange format has, at the cost of k * k copies of keys and values.

Legend: B batch, H W map of queries, H' W' map of keys, h heads, d head width, k kernel.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def gathered_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, kernel_size: int, dilation: Sequence[int], scale: float
) -> Tensor:
    """`neighborhood.unchecked_attention` by its definition: q (B, H, W, h, d); k, v (B, H', W', h, d) -> like q."""
    rows, down = axis_neighbors(q[0, :, 0], k[0, :, 0], kernel_size, dilation[0])
    columns, across = axis_neighbors(q[0, 0], k[0, 0], kernel_size, dilation[1])
    keys, values = (pick(pick(x, 1, rows), 3, columns) for x in (k, v))  # (B, H, k, W, k, h, d)
    keys = keys.permute(0, 1, 3, 5, 6, 2, 4).flatten(5)  # (B, H, W, h, d, k*k)
    logits = (q * scale)[..., None, :] @ keys  # (B, H, W, h, 1, k*k)
    if bias is not None:
        table = pick(pick(bias.to(q.dtype), 1, down), 3, across)  # (h, H, k, W, k)
        logits = logits + table.permute(1, 3, 0, 2, 4).flatten(3)[:, :, :, None]
    values = values.permute(0, 1, 3, 5, 2, 4, 6).flatten(4, 5)  # (B, H, W, h, k*k, d)
    return (logits.softmax(-1) @ values)[..., 0, :]


def axis_neighbors(queries: Tensor, keys: Tensor, kernel_size: int, dilation: int) -> tuple[Tensor, Tensor]:
    """The neighbors on an axis of each query, and their rows in a table of offsets: both (L, k).

    queries, keys: what lies on the axis, (L, ...) and (L', ...).
    """
    position = torch.arange(queries.shape[0], device=queries.device)
    length = torch.scalar_tensor(keys.shape[0], dtype=torch.int64, device=keys.device)
    reach = length.clamp(min=kernel_size * dilation)
    member, group = position // dilation, position % dilation
    last = (reach - group + dilation - 1) // dilation - kernel_size
    first = torch.minimum((member - kernel_size // 2).clamp(min=0), last)
    neighbors = first[:, None] + torch.arange(kernel_size, device=keys.device)
    there = torch.minimum(neighbors * dilation + group[:, None], length - 1)
    return there, neighbors - member[:, None] + kernel_size - 1


def pick(x: Tensor, axis: int, index: Tensor) -> Tensor:
    """x[..., index, ...] on one axis, which becomes the two of `index`."""
    return x.index_select(axis, index.flatten()).unflatten(axis, (-1, index.shape[1]))
