"""Softmax attention in explicit products, a few windows, heads or queries at a time, and its gradient.

PyTorch's fused kernel has no gradient for the bias on CPU, and is slow there in bfloat16 where the CPU computes in it.
Exponentials are taken without the maximum subtracted, and their sums divide the outcome instead of the probabilities:
faster than PyTorch's softmax, and in bfloat16 nearer to the exact result. Scores have the precision of their products;
the fused kernel keeps those of bfloat16 in float32.

Windows come in segments: successive windows that share a bias.

Legend: n windows, h heads, N queries and M keys of a window, d head width, e width of the values.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from denseformer.kernels.double_backward import gradients_of
from denseformer.kernels.products import blocks, equal_blocks, for_products, product_dtype, without_autocast
from denseformer.kernels.switch import use

SCORE_BYTES = 1 << 21
"""Memory of the scores of one chunk: they stay in the L2 cache."""
LEAST_QUERIES = 128
"""Queries of a chunk at the least, however many keys they have: products of fewer rows are slow."""
SAFE_SUM = 1e30
"""Sums of exponentials between this and its inverse have neither overflowed nor vanished."""
LOG2_E = math.log2(math.e)


def applies(q: Tensor, k: Tensor, biases: Sequence[Tensor | None]) -> bool:
    """Whether PyTorch's fused kernel is the slower one for queries (n, h, N, d), keys (n, h, M, d) and these biases."""
    learned = any(bias is not None and bias.requires_grad for bias in biases) and torch.is_grad_enabled()
    slow = q.dtype is torch.bfloat16 and product_dtype(q) is q.dtype
    return (slow or (learned and q.dtype is not torch.float16)) and use(q)


def chunked_attention(
    q: Tensor, k: Tensor, v: Tensor, scale: float, sizes: Sequence[int], biases: Sequence[Tensor | None]
) -> Tensor:
    """softmax(scale * q k^T + bias) v.

    q: (n, h, N, d); k: (n, h, M, d); v: (n, h, M, e); sizes: how many windows each segment has; biases: of the
    segments, broadcastable to (size, h, N, M), or None -> (n, h, N, e).
    """
    k, v = k.to(q.dtype), v.to(q.dtype)
    if torch.is_grad_enabled():
        return ChunkedAttention.apply(q, k, v, scale, sizes, *biases)
    return predict(q, k, v, scale, sizes, biases)


class ChunkedAttention(torch.autograd.Function):
    """Saves probabilities where they take less memory than q, k and v, and recomputes them elsewhere."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float, sizes: Sequence[int], *biases: Tensor | None
    ) -> Tensor:
        queries, keys, width = q.shape[2], k.shape[2], q.shape[3]
        kept: list[Tensor] | None = [] if queries * keys < (queries + 2 * keys) * width else None
        out = predict(q, k, v, scale, sizes, biases, kept)
        ctx.scale, ctx.sizes = scale, sizes
        ctx.save_for_backward(q, k, v, *biases, *(kept or ()))
        return out

    @staticmethod
    @without_autocast
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *biases = ctx.saved_tensors
        biases, kept = biases[: len(ctx.sizes)], biases[len(ctx.sizes) :]
        if torch.is_grad_enabled():  # this gradient will be differentiated itself
            plain = partial(plain_attention, scale=ctx.scale, sizes=ctx.sizes)
            grad_q, grad_k, grad_v, *grad_biases = gradients_of(plain, (q, k, v, *biases), grad)
            return grad_q, grad_k, grad_v, None, None, *grad_biases
        parts = list(chunks(q, k, ctx.sizes))
        wide = torch.promote_types(k.dtype, torch.float32)
        summed = wide if parts and parts[0].queries.stop < q.shape[2] else k.dtype
        grad_q = empty_maps(q, q.shape[2])
        grad_k, grad_v = (torch.zeros_like(x, dtype=summed) for x in (k, v))
        grad_biases = [
            torch.zeros_like(bias, dtype=torch.promote_types(bias.dtype, torch.float32)) if needed else None
            for bias, needed in zip(biases, ctx.needs_input_grad[5:], strict=True)
        ]
        for i, part in enumerate(parts):
            part_q, part_grad = (for_products(x[part.rows].contiguous()) for x in (q, grad))
            part_k, part_v = (for_products(x[part.maps].contiguous()) for x in (k, v))
            weights = (
                for_products(kept[i])
                if kept
                else normalized(*exponentials(part_q, part_k, biases_of(part, biases), ctx.scale))
            )
            grad_v[part.maps] += (part_grad.mT @ weights).mT  # transposes the smaller factor
            grad_scores = torch._softmax_backward_data(part_grad @ part_v.mT, weights, -1, weights.dtype)
            grad_q[part.rows] = (grad_scores @ part_k).mul_(ctx.scale)
            grad_k[part.maps] += (part_q.mT @ grad_scores).mT.mul_(ctx.scale)
            for place, total in biases_of(part, grad_biases):
                if total is not None:
                    total += grad_scores[place].sum_to_size(total.shape)
        return grad_q, grad_k.to(k.dtype), grad_v.to(v.dtype), None, None, *grad_biases


@without_autocast
def predict(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float,
    sizes: Sequence[int],
    biases: Sequence[Tensor | None],
    kept: list[Tensor] | None = None,
) -> Tensor:
    """`chunked_attention` without a gradient; kept: receives each chunk's probabilities, (windows, h, N, M)."""
    out = empty_maps(v, q.shape[2])
    for part in chunks(q, k, sizes, equal_blocks if kept is None else blocks):
        part_q, part_k, part_v = (for_products(x) for x in (q[part.rows], k[part.maps], v[part.maps]))
        weights, sums = exponentials(part_q, part_k, biases_of(part, biases), scale)
        if kept is not None:
            weights, sums = normalized(weights, sums), None
            kept.append(weights.to(q.dtype))
        result = weights @ part_v
        if sums is not None:
            result.div_(sums.expand_as(result).contiguous())  # dividing short rows one by one is slow
        out[part.rows] = result
    return out


def plain_attention(
    q: Tensor, k: Tensor, v: Tensor, *biases: Tensor | None, scale: float, sizes: Sequence[int]
) -> Tensor:
    """Attention in all windows at once, in operators that can be differentiated any number of times."""
    scores = (q * scale @ k.mT).split(list(sizes))
    biased = [part if bias is None else part + bias for part, bias in zip(scores, biases, strict=True)]
    return torch.cat(biased).softmax(-1).to(v.dtype) @ v


@dataclass(frozen=True)
class Segment:
    """The part of a segment that lies in a chunk: windows `place` of the chunk, `within` of the segment."""

    index: int
    place: slice
    within: slice


@dataclass(frozen=True)
class Chunk:
    """Several windows whole, or of one window several heads whole, or of one head several queries."""

    windows: slice
    heads: slice
    queries: slice
    segments: list[Segment]

    @property
    def maps(self) -> tuple[slice, slice]:
        """Where its keys and values are."""
        return self.windows, self.heads

    @property
    def rows(self) -> tuple[slice, slice, slice]:
        """Where its queries are."""
        return self.windows, self.heads, self.queries


def chunks(
    q: Tensor, k: Tensor, sizes: Sequence[int], split: Callable[[int, int], Iterator[slice]] = blocks
) -> Iterator[Chunk]:
    """As many windows, heads and queries at a time as have scores of SCORE_BYTES; split: (all, at a time) -> parts."""
    (n, heads, queries), keys = q.shape[:3], k.shape[2]
    row_bytes = keys * product_dtype(q).itemsize
    most = SCORE_BYTES // max(row_bytes, 1)  # queries at a time, over all heads and windows
    starts = list(accumulate(sizes, initial=0))
    for windows in split(n, most // max(heads * queries, 1)):
        segments = list(segments_of(windows, starts))
        for some_heads in split(heads, most // max(queries, 1)):
            for rows in split(queries, max(most, LEAST_QUERIES)):
                yield Chunk(windows, some_heads, rows, segments)


def segments_of(windows: slice, starts: Sequence[int]) -> Iterator[Segment]:
    for index, (first, last) in enumerate(pairwise(starts)):
        low, high = max(windows.start, first), min(windows.stop, last)
        if low < high:
            yield Segment(index, slice(low - windows.start, high - windows.start), slice(low - first, high - first))


def biases_of(part: Chunk, biases: Sequence[Tensor | None]) -> list[tuple[slice, Tensor | None]]:
    """The bias of each segment, and where its windows are in the chunk."""
    found = [(segment, biases[segment.index]) for segment in part.segments]
    return [(segment.place, None if bias is None else bias_of(bias, segment.within, part)) for segment, bias in found]


def bias_of(bias: Tensor, windows: slice, part: Chunk) -> Tensor:
    """A part of a bias, whole along sides of 1, along which it is repeated."""
    places = (windows, part.heads, part.queries, slice(None))[-bias.dim() :]
    return bias[tuple(slice(None) if side == 1 else place for side, place in zip(bias.shape, places, strict=True))]


def exponentials(
    q: Tensor, k: Tensor, biases: Sequence[tuple[slice, Tensor | None]], scale: float
) -> tuple[Tensor, Tensor | None]:
    """Exponentials of the scores (windows, h, N, M) and their sums (windows, h, N, 1).

    Where exponentials overflow or vanish: the softmax, computed in float32 at least, and None. Powers of 2 are
    computed faster than those of e.
    """
    weights = q.new_empty(*q.shape[:3], k.shape[2])
    biased = any(bias is not None for _, bias in biases)
    for place, bias in biases if biased else ():
        weights[place] = 0.0 if bias is None else bias
    products = q.flatten(0, 1), k.flatten(0, 1).mT
    weights.flatten(0, 1).baddbmm_(*products, beta=LOG2_E if biased else 0, alpha=scale * LOG2_E).exp2_()
    sums = weights.sum(-1, keepdim=True)
    if in_range(sums):
        return weights, sums
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = (q.to(wide) * scale) @ k.to(wide).mT
    for place, bias in biases:
        if bias is not None:
            scores[place] += bias
    return scores.softmax(-1).to(q.dtype), None


def normalized(weights: Tensor, sums: Tensor | None) -> Tensor:
    """Probabilities, in the place of the exponentials, from what `exponentials` returns."""
    return weights if sums is None else weights.div_(sums)


def in_range(sums: Tensor) -> bool:
    """Whether sums of exponentials have neither overflowed nor vanished, which scores within +-60 cannot."""
    smallest, largest = (value.item() for value in torch.aminmax(sums))
    return 1 / SAFE_SUM < smallest <= largest < SAFE_SUM


def empty_maps(like: Tensor, tokens: int) -> Tensor:
    """(n, h, tokens, d) whose heads lie side by side in memory, as projections have them."""
    n, h, _, d = like.shape
    return like.new_empty(n, tokens, h, d).transpose(1, 2)
