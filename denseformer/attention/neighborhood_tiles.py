"""Neighbourhood attention in tiles, for any device: gather a tile's keys once, attend densely, mask what lies outside.

A map is cut into small tiles of queries. The keys of a tile's neighbourhoods overlap almost entirely, so they are
gathered once per tile, and attention inside the tile is a dense product with a mask that also carries the position
bias. All that is irregular (dilation, borders, groups of unequal length, sizes that are no multiple of the tile) is in
the positions gathered along each axis. A few tiles are processed at a time, so that everything between the input and
the output stays in the processor's cache. The backward pass gathers again and recomputes the probabilities.

Legend: B batch, H W map, h heads, d head width, C = h * d, k kernel, n tiles, m tiles at a time, T queries and S keys
of a tile along one axis, Nq Nk queries and keys of a tile, c masks that differ.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

CACHED_BYTES, ACCELERATOR_BYTES = 3 << 20, 256 << 20
"""Keys and values gathered at a time on a processor, where a few megabytes measured best, and elsewhere."""
TILE_COST = 10.0
"""What a tile costs besides its products, in queries times keys, per key; measured likewise."""
LARGEST_TILE = 16
SAFE_SUM = 1e30
"""Sums of exponentials between this and its inverse have neither overflowed nor vanished."""


@dataclass(frozen=True, eq=False)
class AxisTiles:
    """The tiles of one axis.

    queries, keys: positions on the axis, (n, T) and (n, S); owned: False where a query is repeated to fill a tile,
    (n, T); mask_index: which of the `masks` different masks is the tile's, (n,); select: one-hot offsets into the bias
    table, (c*T*S, 2k-1); mask: 0 inside the neighbourhood, else -inf, (c*T*S,).
    """

    queries: Tensor
    keys: Tensor
    owned: Tensor
    mask_index: Tensor
    select: Tensor
    mask: Tensor
    masks: int

    @property
    def mask_shape(self) -> tuple[int, int, int]:
        return self.masks, self.tile, self.span

    @property
    def count(self) -> int:
        return self.queries.shape[0]

    @property
    def tile(self) -> int:
        return self.queries.shape[1]

    @property
    def span(self) -> int:
        return self.keys.shape[1]


def tile_span(members: int, tiles: int, tile: int, kernel_size: int) -> int:
    """How many keys, of a group of so many members, the neighbourhoods of one tile's queries span."""
    halo = kernel_size // 2 if tiles == 2 else kernel_size - 1
    return members if tiles == 1 else max(min(members, tile + halo), kernel_size)


def choose_tile(members: int, kernel_size: int) -> int:
    """The side of the square tile that costs least per query: masked keys against gathering and small products."""

    def cost(tile: int) -> float:
        tiles = -(-members // tile)
        padded = tiles * tile / members
        return (tile_span(members, tiles, tile, kernel_size) * padded) ** 2 * (1 + TILE_COST / tile**2)

    return min(range(1, min(members, LARGEST_TILE) + 1), key=cost)


@lru_cache(maxsize=128)
def tile_axis(length: int, key_length: int, kernel_size: int, dilation: int) -> AxisTiles:
    """Tiles for queries at 0 .. length-1 and keys at 0 .. key_length-1; held on the CPU, not to be written to."""
    device = torch.device('cpu')
    groups = min(dilation, length)
    members, key_members = -(-length // dilation), -(-key_length // dilation)
    tile = choose_tile(members, kernel_size)
    tiles = -(-members // tile)
    span = tile_span(key_members, tiles, tile, kernel_size)

    group = torch.arange(groups, device=device)[:, None, None]
    last_query, group_keys = (length - 1 - group) // dilation, (key_length - 1 - group) // dilation + 1
    wanted = torch.arange(tiles * tile, device=device).view(1, tiles, tile)
    query = wanted.minimum(last_query)  # (groups, tiles, T), in members of the group
    first = (query - kernel_size // 2).clamp(min=0).minimum(group_keys - kernel_size)
    key = first[..., :1].clamp(max=key_members - span) + torch.arange(span, device=device)  # (groups, tiles, S)
    inside = (key[..., None, :] >= first[..., None]) & (key[..., None, :] < first[..., None] + kernel_size)
    offset = torch.where(inside, key[..., None, :] - query[..., None] + kernel_size - 1, -1)  # (groups, tiles, T, S)
    offsets, mask_index = torch.unique(offset.flatten(0, 1), dim=0, return_inverse=True)

    flat = offsets.flatten()
    return AxisTiles(
        queries=(query * dilation + group).flatten(0, 1),
        keys=(key.minimum(group_keys - 1) * dilation + group).flatten(0, 1),
        owned=(wanted <= last_query).flatten(0, 1),
        mask_index=mask_index,
        select=F.one_hot(flat.clamp(min=0), 2 * kernel_size - 1).to(torch.float32),
        mask=torch.zeros(flat.shape, device=device).masked_fill(flat < 0, -math.inf),
        masks=len(offsets),
    )


@dataclass(frozen=True, eq=False)
class MapTiles:
    """The tiles of a batch of maps: every tile of the rows with every tile of the columns, image by image."""

    rows: AxisTiles
    columns: AxisTiles
    size: tuple[int, int]
    key_size: tuple[int, int]
    batch: int
    device: torch.device

    @classmethod
    def of(cls, q: Tensor, k: Tensor, kernel_size: int, dilation: int) -> 'MapTiles':
        size, key_size = (q.shape[1], q.shape[2]), (k.shape[1], k.shape[2])
        rows, columns = (tile_axis(*lengths, kernel_size, dilation) for lengths in zip(size, key_size, strict=True))
        return cls(rows, columns, size, key_size, q.shape[0], q.device)

    @property
    def queries(self) -> int:
        return self.rows.tile * self.columns.tile

    @property
    def keys(self) -> int:
        return self.rows.span * self.columns.span

    def chunks(self, key_bytes: int) -> Iterator['Chunk']:
        """All tiles, as many at a time as the budget holds; key_bytes: of one position's key and value."""
        total = self.batch * self.rows.count * self.columns.count
        budget = CACHED_BYTES if self.device.type == 'cpu' else ACCELERATOR_BYTES
        step = max(1, budget // (self.keys * key_bytes))
        for start in range(0, total, step):
            yield self.chunk(torch.arange(start, min(start + step, total), device='cpu'))

    def chunk(self, tile: Tensor) -> 'Chunk':
        rows, columns = self.rows, self.columns
        row, column = tile // columns.count, tile % columns.count
        image, row = row // rows.count, row % rows.count

        def flat(row_positions: Tensor, column_positions: Tensor, size: tuple[int, int]) -> Tensor:
            start = (image * (size[0] * size[1]))[:, None] + row_positions[row] * size[1]  # (m, T)
            return (start[:, :, None] + column_positions[column][:, None, :]).flatten(1).to(self.device)

        return Chunk(
            queries=flat(rows.queries, columns.queries, self.size),
            keys=flat(rows.keys, columns.keys, self.key_size),
            owned=(rows.owned[row][:, :, None] & columns.owned[column][:, None, :]).flatten(1).to(self.device),
            masks=(rows.mask_index[row] * columns.masks + columns.mask_index[column]).to(self.device),
        )

    def chunk_masks(self, masks: Tensor, chunk: 'Chunk') -> Tensor:
        return masks.index_select(0, chunk.masks).unflatten(2, (self.queries, self.keys))  # (m, h or 1, Nq, Nk)

    def masks(self, bias: Tensor) -> Tensor:
        """(c, h, Nq*Nk): the masks that occur, with the bias (h, 2k-1, 2k-1) inside the neighbourhoods."""
        rows, columns = self.rows, self.columns
        inside = rows.select.to(bias) @ bias @ columns.select.to(bias).T  # (h, c*T*S, c*T*S)
        mask = (rows.mask[:, None] + columns.mask).to(bias)
        masks = (
            (inside + mask).unflatten(2, columns.mask_shape).unflatten(1, rows.mask_shape)
        )  # (h, cr, T, S, cc, T, S)
        return masks.permute(1, 4, 0, 2, 5, 3, 6).reshape(rows.masks * columns.masks, bias.shape[0], -1)

    def masks_backward(self, grad: Tensor) -> Tensor:
        """The gradient of the bias (h, 2k-1, 2k-1) from that of `masks`."""
        rows, columns = self.rows, self.columns
        shape = (rows.masks, columns.masks, -1, rows.tile, columns.tile, rows.span, columns.span)
        grad = grad.view(shape).permute(2, 0, 3, 5, 1, 4, 6)  # (h, c, T, S, c, T, S), rows before columns
        grad = grad.reshape(-1, len(rows.mask), len(columns.mask))
        return rows.select.to(grad).T @ grad @ columns.select.to(grad)


@dataclass(frozen=True, eq=False)
class Chunk:
    """m tiles: flat positions of their queries (m, Nq) and keys (m, Nk), `owned` (m, Nq), and their masks (m,)."""

    queries: Tensor
    keys: Tensor
    owned: Tensor
    masks: Tensor


def tiled_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, kernel_size: int, dilation: int, scale: float
) -> Tensor:
    """q: (B, H, W, h, d); k, v: (B, H', W', h, d), H' >= H, W' >= W; bias: (h, 2k-1, 2k-1) -> (B, H, W, h, d)."""
    h = q.shape[3]
    tiles = MapTiles.of(q, k, kernel_size, dilation)
    masks = tiles.masks(bias_table(bias, q, kernel_size)).to(q.dtype)
    attend = attend_bfloat16 if q.dtype is torch.bfloat16 else F.scaled_dot_product_attention
    q_rows, k_rows, v_rows = (as_rows(x) for x in (q, k, v))
    out = torch.empty_like(q_rows, memory_format=torch.contiguous_format)
    for chunk in tiles.chunks(key_bytes=2 * k_rows[0].nbytes):
        tile_q = gather(q_rows, chunk.queries, h)
        tile_k, tile_v = (gather(rows, chunk.keys, h) for rows in (k_rows, v_rows))
        tile_out = attend(tile_q, tile_k, tile_v, attn_mask=tiles.chunk_masks(masks, chunk), scale=scale)
        out.index_copy_(0, chunk.queries.flatten(), tile_rows(tile_out))  # a repeated query has the same result
    return out.view(q.shape)


def tiled_attention_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, kernel_size: int, dilation: int, scale: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of q, k, v and of the bias (zeros without one)."""
    h = q.shape[3]
    tiles = MapTiles.of(q, k, kernel_size, dilation)
    table = bias_table(bias, q, kernel_size)
    masks = tiles.masks(table)
    grad_masks = torch.zeros_like(masks).flatten(1)  # (c, h*Nq*Nk)
    masks = masks.to(q.dtype)
    q_rows, k_rows, v_rows, grad_rows = (as_rows(x) for x in (q, k, v, grad))
    grad_k, grad_v = (torch.zeros_like(rows, dtype=table.dtype) for rows in (k_rows, v_rows))
    grad_q = torch.zeros_like(q_rows, memory_format=torch.contiguous_format)
    for chunk in tiles.chunks(key_bytes=2 * k_rows[0].nbytes):
        m = len(chunk.masks)
        tile_q, tile_grad = (gather(rows, chunk.queries, h).flatten(0, 1) for rows in (q_rows, grad_rows))
        tile_k, tile_v = (gather(rows, chunk.keys, h).flatten(0, 1) for rows in (k_rows, v_rows))
        tile_q = tile_q * scale
        weights = torch.bmm(tile_q, tile_k.transpose(1, 2))  # (m*h, Nq, Nk)
        weights.unflatten(0, (m, h)).add_(tiles.chunk_masks(masks, chunk))
        weights = weights.softmax(-1)
        if not chunk.owned.all():
            tile_grad = (tile_grad.unflatten(0, (m, h)) * chunk.owned.to(tile_grad)[:, None, :, None]).flatten(0, 1)
        tile_grad_v = torch.bmm(weights.transpose(1, 2), tile_grad)
        grad_logits = torch.bmm(tile_grad, tile_v.transpose(1, 2))
        grad_logits = torch._softmax_backward_data(grad_logits, weights, -1, weights.dtype)
        tile_grad_k = torch.bmm(grad_logits.transpose(1, 2), tile_q)
        tile_grad_q = torch.bmm(grad_logits, tile_k).mul_(scale)
        grad_q.index_add_(0, chunk.queries.flatten(), tile_rows(tile_grad_q.unflatten(0, (m, h))))
        for total, part in ((grad_k, tile_grad_k), (grad_v, tile_grad_v)):
            part = tile_rows(part.unflatten(0, (m, h))).to(total.dtype)  # (m*Nk, C)
            total.scatter_add_(0, chunk.keys.flatten()[:, None].expand_as(part), part)
        if bias is not None:
            which = F.one_hot(chunk.masks, len(masks)).to(grad_logits)  # (m, c)
            grad_masks += which.T @ grad_logits.view(m, -1)
    grad_bias = tiles.masks_backward(grad_masks)
    return grad_q.view(q.shape), grad_k.to(k.dtype).view(k.shape), grad_v.to(v.dtype).view(v.shape), grad_bias


def as_rows(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-2] * x.shape[-1])  # (B*H*W, C), without a copy if the positions lie evenly apart


def gather(rows: Tensor, index: Tensor, heads: int) -> Tensor:
    """(B*H*W, C) rows, (m, N) positions -> (m, h, N, d)."""
    return rows.index_select(0, index.flatten()).view(*index.shape, heads, -1).transpose(1, 2)


def tile_rows(x: Tensor) -> Tensor:
    """(m, h, N, d) -> rows (m*N, C)."""
    return x.transpose(1, 2).reshape(-1, x.shape[1] * x.shape[3])


def bias_table(bias: Tensor | None, q: Tensor, kernel_size: int) -> Tensor:
    """The bias in single precision at least; zeros for one head, to be shared by all, without one."""
    dtype = torch.promote_types(q.dtype, torch.float32)
    return q.new_zeros(1, 2 * kernel_size - 1, 2 * kernel_size - 1, dtype=dtype) if bias is None else bias.to(dtype)


def attend_bfloat16(q: Tensor, k: Tensor, v: Tensor, *, attn_mask: Tensor, scale: float) -> Tensor:
    """As batched products, much faster than the fused operator in tiles this small where the processor has bfloat16.

    The softmax does without the row maximum: the sums tell whether something overflowed or vanished, which logits
    within +-60 cannot, and then the fused operator does it over.
    """
    m, h = q.shape[:2]
    logits = torch.bmm((q * scale).flatten(0, 1), k.flatten(0, 1).transpose(1, 2))  # (m*h, Nq, Nk)
    logits.unflatten(0, (m, h)).add_(attn_mask)
    weights = logits.exp_()
    sums = weights.sum(-1, keepdim=True, dtype=torch.float32)
    smallest, largest = torch.aminmax(sums)
    if not 1 / SAFE_SUM < smallest <= largest < SAFE_SUM:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask, scale=scale)
    return torch.bmm(weights, v.flatten(0, 1)).div_(sums).unflatten(0, (m, h))
