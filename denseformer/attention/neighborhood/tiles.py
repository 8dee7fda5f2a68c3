"""Neighborhood attention in tiles, for any device: gather a tile's keys once, attend densely, mask what lies outside.

A map is cut into small tiles of queries. The keys of a tile's neighborhoods overlap almost entirely, so they are
gathered once per tile, and attention inside the tile is a dense product with a mask that also carries the position
bias. All that is irregular is in the positions gathered. A few tiles are processed at a time, so that everything
between the input and the output stays in the CPU's cache. The backward pass gathers again and recomputes the
probabilities.

Products have the keys first, (Nk, Nq). They are much faster so: a CPU rearranges the right factor of each, and
there are fewer queries than keys.

Legend: B batch, H W map, h heads, d head width, k kernel, n tiles, Nq Nk queries and keys of a tile, m masks that
differ.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.attention.neighborhood.geometry import head_rows, map_tiles
from denseformer.kernels.attention import LOG2_E, in_range


def tiled_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, kernel_size: int, dilation: Sequence[int], scale: float
) -> Tensor:
    """q: (B, H, W, h, d); k, v: (B, H', W', h, d), H' >= H, W' >= W; bias: (h, 2k-1, 2k-1) -> (B, H, W, h, d)."""
    tiles = map_tiles(q.shape[:4], k.shape[1:3], kernel_size, tuple(dilation), q.device)
    masks = tiles.masks(bias_table(bias, q, kernel_size).to(q.dtype))
    (q_rows,), q_steps = head_rows(q)
    (k_rows, v_rows), k_steps = head_rows(k, v)
    queries, keys = tiles.query_index(q_rows, q_steps), tiles.key_index(k_rows, k_steps)
    out = torch.empty_like(q, memory_format=torch.contiguous_format)
    for band in tiles.bands(q[0, 0, 0].nbytes):
        results = gather(q_rows, queries.of(band, slice(None)), tiles.queries)  # at first a tile's queries
        for rows, columns, part in tiles.chunks(band, 2 * k[0, 0, 0].nbytes):
            tile, index = results[part], keys.of(rows, columns)
            copy_masks = partial(tiles.copy_masks, masks, tiles.mask_index[rows, columns].flatten())
            weights, sums = softmax_weights(tile, gather(k_rows, index, tiles.keys), copy_masks, scale)
            torch.bmm(weights.mT, gather(v_rows, index, tiles.keys), out=tile)
            if sums is not None:
                tile.div_(sums.mT)
        tiles.put(results, band, out)
    return out


def tiled_attention_backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor | None,
    kernel_size: int,
    dilation: Sequence[int],
    scale: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of q, k, v and of the bias (zeros without one)."""
    tiles = map_tiles(q.shape[:4], k.shape[1:3], kernel_size, tuple(dilation), q.device)
    table = bias_table(bias, q, kernel_size)
    masks = tiles.masks(table.to(q.dtype))
    grad_masks = torch.zeros_like(masks, dtype=table.dtype)
    grad_q = torch.empty_like(q, memory_format=torch.contiguous_format)
    grad_k, grad_v = (torch.zeros(x.shape, dtype=table.dtype, device=x.device) for x in (k, v))
    (q_rows,), q_steps = head_rows(q)
    (grad_rows,), grad_steps = head_rows(grad)
    (k_rows, v_rows), k_steps = head_rows(k, v)
    totals, total_steps = head_rows(grad_k, grad_v)
    queries, keys = tiles.query_index(q_rows, q_steps), tiles.key_index(k_rows, k_steps)
    grads, total_keys = tiles.query_index(grad_rows, grad_steps), tiles.key_index(totals[0], total_steps)
    for band in tiles.bands(q[0, 0, 0].nbytes):
        band_q = gather(q_rows, queries.of(band, slice(None)), tiles.queries).mul_(scale)
        band_grad = gather(grad_rows, grads.of(band, slice(None)), tiles.queries)
        tiles.drop_repeated(band_grad, band)
        for rows, columns, part in tiles.chunks(band, 2 * k[0, 0, 0].nbytes):
            tile_q, tile_grad, index = band_q[part], band_grad[part], keys.of(rows, columns)
            tile_k, tile_v = (gather(x, index, tiles.keys) for x in (k_rows, v_rows))
            chosen = tiles.mask_index[rows, columns].flatten()
            weights, sums = softmax_weights(tile_q, tile_k, partial(tiles.copy_masks, masks, chosen), 1.0)
            if sums is not None:
                weights.div_(sums)
            tile_grad_v = torch.bmm(weights, tile_grad)
            grad_logits = torch.bmm(tile_v, tile_grad.mT)
            grad_logits = torch._softmax_backward_data(grad_logits, weights, 1, weights.dtype)  # (n*h, Nk, Nq)
            tile_grad_k = torch.bmm(grad_logits, tile_q)
            torch.bmm(grad_logits.mT, tile_k, out=tile_grad).mul_(scale)  # in the place of the results' gradients
            index = total_keys.of(rows, columns).long()[:, None].expand(-1, k.shape[4])
            for total, tile_total in zip(totals, (tile_grad_k, tile_grad_v), strict=True):
                total.scatter_add_(0, index, tile_total.flatten(0, 1).to(total.dtype))
            if bias is not None:
                which = F.one_hot(chosen, len(masks)).to(grad_logits)  # (n, m)
                grad_masks.flatten(1).add_(which.T @ grad_logits.view(len(which), -1))
        tiles.put(band_grad, band, grad_q)
    return grad_q, grad_k.to(k.dtype), grad_v.to(v.dtype), tiles.masks_backward(grad_masks)


def softmax_weights(
    q: Tensor, k: Tensor, copy_masks: Callable[[], Tensor], scale: float
) -> tuple[Tensor, Tensor | None]:
    """The softmax over the keys (n*h, Nk, Nq), for queries (n*h, Nq, d), keys (n*h, Nk, d) and the masks added.

    On CPU its exponentials and their sums (n*h, 1, Nq) instead, much faster there without the maximum, as
    powers of 2; where they overflow or vanish, the softmax in float32 at least.
    """
    if q.device.type == 'cpu':
        weights = copy_masks().baddbmm_(k, q.mT, beta=LOG2_E, alpha=scale * LOG2_E).exp2_()
        sums = weights.sum(1, keepdim=True)
        if in_range(sums):
            return weights, sums
    wide = torch.promote_types(q.dtype, torch.float32) if q.device.type == 'cpu' else q.dtype
    scores = copy_masks().to(wide).baddbmm_(k.to(wide), q.to(wide).mT, alpha=scale)
    return scores.softmax(1).to(q.dtype), None


def gather(rows: Tensor, index: Tensor, size: int) -> Tensor:
    """Rows (R, d) as tiles of `size` of them, (n*h, size, d)."""
    return rows.index_select(0, index).view(-1, size, rows.shape[1])


def bias_table(bias: Tensor | None, q: Tensor, kernel_size: int) -> Tensor:
    """The bias in single precision at least; zeros for one head, to be shared by all, without one."""
    dtype = torch.promote_types(q.dtype, torch.float32)
    return q.new_zeros(1, 2 * kernel_size - 1, 2 * kernel_size - 1, dtype=dtype) if bias is None else bias.to(dtype)
