"""Neighbourhood attention: every query attends to the k x k keys around it, dilated if asked, with a position bias.

Legend: B batch, H W map, h heads, d head width, k kernel, n tiles, Nq Nk queries and keys of a tile.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TILE = 8


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
    kernel_size consecutive members of its group, centred on it and moved inwards at the border. H and W must be at
    least kernel_size * dilation.

    q, k, v: (B, H, W, h, d); bias: (h, 2k-1, 2k-1), added to the logits at (key - query + k - 1) in group positions;
    scale: of the logits, d ** -0.5 by default -> (B, H, W, h, d).
    """
    check_arguments(q, k, v, kernel_size, dilation, bias)
    B, H, W, h, d = q.shape
    rows, columns = tile_axis(H, kernel_size, dilation), tile_axis(W, kernel_size, dilation)
    queries, keys, offsets = (index.to(q.device) for index in tile_map(rows, columns, W, kernel_size))
    tiles = queries.shape[0]
    q = q.reshape(B, H * W, h, d)[:, queries].transpose(2, 3).flatten(0, 1)  # (B*n, h, Nq, d)
    k, v = (x.reshape(B, H * W, h, d)[:, keys].transpose(2, 3).flatten(0, 1) for x in (k, v))  # (B*n, h, Nk, d)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=tile_bias(bias, kernel_size, offsets, q), scale=scale)
    out = out.view(B, tiles, h, -1, d).transpose(2, 3).reshape(B, -1, h, d)  # (B, n*Nq, h, d)
    inverse = torch.empty(H * W, dtype=torch.long, device=q.device)
    inverse[queries.flatten()] = torch.arange(queries.numel(), device=q.device)
    return out[:, inverse].view(B, H, W, h, d)


def tile_bias(bias: Tensor | None, kernel_size: int, offsets: Tensor, q: Tensor) -> Tensor:
    """(B*n, h or 1, Nq, Nk): the bias inside each query's neighbourhood, -inf outside."""
    table = q.new_zeros(1, (2 * kernel_size - 1) ** 2) if bias is None else bias.flatten(1).to(q.dtype)
    table = F.pad(table, (0, 1), value=float('-inf'))  # the last entry: outside
    mask = table[:, offsets].transpose(0, 1)  # (n, h, Nq, Nk)
    return mask.repeat(q.shape[0] // mask.shape[0], 1, 1, 1)


@dataclass(frozen=True)
class AxisTiles:
    """Per tile of one axis: positions of its queries (n, T) and keys (n, K), and relative offsets (n, T, K), -1 out."""

    queries: Tensor
    keys: Tensor
    offsets: Tensor


@lru_cache(maxsize=64)
def tile_axis(length: int, kernel_size: int, dilation: int) -> AxisTiles:
    queries, keys, offsets = [], [], []
    longest = -(-length // dilation)
    tile = min(TILE, longest)
    span = min(tile + kernel_size - 1, longest)
    for group in range(dilation):
        members = -(-(length - group) // dilation)
        for start in range(0, longest, tile):
            position = torch.arange(start, start + tile).clamp(max=members - 1)
            first = (position - kernel_size // 2).clamp(0, members - kernel_size)
            base = max(min(int(first[0]), longest - span), 0)
            key = torch.arange(base, base + span)
            inside = (key >= first[:, None]) & (key < first[:, None] + kernel_size)
            offset = (key - position[:, None] + kernel_size - 1).masked_fill(~inside, -1)
            queries.append(position * dilation + group)
            keys.append(key.clamp(max=members - 1) * dilation + group)
            offsets.append(offset)
    return AxisTiles(torch.stack(queries), torch.stack(keys), torch.stack(offsets))


def tile_map(rows: AxisTiles, columns: AxisTiles, width: int, kernel_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Flat positions of the queries (n, Nq) and keys (n, Nk) of all tiles, flat bias offsets (n, Nq, Nk)."""

    def flat(row: Tensor, column: Tensor) -> Tensor:
        index = row[:, None, :, None] * width + column[None, :, None, :]
        return index.flatten(2).flatten(0, 1)

    row, column = rows.offsets[:, None, :, None, :, None], columns.offsets[None, :, None, :, None, :]
    side = 2 * kernel_size - 1
    offsets = (row * side + column).masked_fill((row < 0) | (column < 0), side * side)  # (nr, nc, Tr, Tc, Kr, Kc)
    offsets = offsets.flatten(4).flatten(2, 3).flatten(0, 1)
    return flat(rows.queries, columns.queries), flat(rows.keys, columns.keys), offsets


def check_arguments(q: Tensor, k: Tensor, v: Tensor, kernel_size: int, dilation: int, bias: Tensor | None) -> None:
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f'kernel_size must be odd and positive, got {kernel_size}.')
    if dilation < 1:
        raise ValueError(f'dilation must be at least 1, got {dilation}.')
    if q.ndim != 5 or q.shape != k.shape or q.shape != v.shape:
        shapes = f'{tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}'
        raise ValueError(f'q, k and v must have one shape (B, H, W, heads, head width), got {shapes}.')
    if not q.dtype == k.dtype == v.dtype:
        raise ValueError(f'q, k and v must have one dtype, got {q.dtype}, {k.dtype}, {v.dtype}.')
    size, need = tuple(q.shape[1:3]), kernel_size * dilation
    if min(size) < need:
        raise ValueError(
            f'A {size[0]} x {size[1]} map is smaller than kernel_size * dilation = {kernel_size} * {dilation} = {need}; '
            'pad it, or use NeighborhoodAttention, which does.'
        )
    expected = (q.shape[3], 2 * kernel_size - 1, 2 * kernel_size - 1)
    if bias is not None and tuple(bias.shape) != expected:
        raise ValueError(f'bias must be (heads, 2k-1, 2k-1) = {expected}, got {tuple(bias.shape)}.')


class NeighborhoodAttention(nn.Module):
    """Multi-head neighbourhood attention with a learned bias per relative position: (B, H, W, C) -> the same.

    A map with a side shorter than kernel_size * dilation is zero-padded to it on the right and at the bottom before
    the projections, and the padding is attended to like any other token, as the published models were trained.
    """

    def __init__(self, dim: int, heads: int, *, kernel_size: int = 7, dilation: int = 1):
        super().__init__()
        if dim % heads:
            raise ValueError(f'dim {dim} must be a multiple of heads {heads}.')
        self.heads, self.kernel_size, self.dilation = heads, kernel_size, dilation
        self.qkv = nn.Linear(dim, 3 * dim)
        self.rpb = nn.Parameter(torch.empty(heads, 2 * kernel_size - 1, 2 * kernel_size - 1))
        self.proj = nn.Linear(dim, dim)
        nn.init.trunc_normal_(self.rpb, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        _, H, W, _ = x.shape
        need = self.kernel_size * self.dilation
        bottom, right = max(need - H, 0), max(need - W, 0)
        if bottom or right:
            x = F.pad(x, (0, 0, 0, right, 0, bottom))
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(3)  # each (B, H, W, h, d)
        out = neighborhood_attention(q, k, v, kernel_size=self.kernel_size, dilation=self.dilation, bias=self.rpb)
        return self.proj(out[:, :H, :W].flatten(3))  # (B, H, W, C)
