"""Softmax attention over many windows in explicit products, a few windows at a time, and its gradient.

Exponentials are taken without the maximum subtracted, and their sums divide the outcome instead of the probabilities:
on a processor faster than its softmax, and in bfloat16 nearer to the exact result.

Legend: n windows, h heads, N queries and M keys of a window, d head width.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from denseformer.kernels.double_backward import gradients_of

SCORE_BYTES = 1 << 21
"""How much room the scores of one chunk of windows may take: they should not leave the processor's cache."""
SAFE_SUM = 1e30
"""Sums of exponentials between this and its inverse have neither overflowed nor vanished."""
LOG2_E = math.log2(math.e)


class ChunkedAttention(torch.autograd.Function):
    """`attend` with its gradient. Probabilities are kept where they take less room than q, k and v, else made anew."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float, counts: Sequence[int], *biases: Tensor | None
    ) -> Tensor:
        queries, keys, width = q.shape[2], k.shape[2], q.shape[3]
        kept: list[Tensor] | None = [] if queries * keys < (queries + 2 * keys) * width else None
        out = attend(q, k, v, scale, counts, biases, kept)
        ctx.scale, ctx.counts = scale, counts
        ctx.save_for_backward(q, k, v, *biases, *(kept or ()))
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *biases = ctx.saved_tensors
        biases, kept = biases[: len(ctx.counts)], biases[len(ctx.counts) :]
        if torch.is_grad_enabled():  # this gradient will be differentiated itself
            whole = partial(attend_whole, scale=ctx.scale, counts=ctx.counts)
            grad_q, grad_k, grad_v, *grad_biases = gradients_of(whole, (q, k, v, *biases), grad)
            return grad_q, grad_k, grad_v, None, None, *grad_biases
        grad_q, grad_k, grad_v = (empty_maps(x, x.shape[2]) for x in (q, k, v))
        grad_biases = [
            torch.zeros_like(bias, dtype=torch.promote_types(bias.dtype, torch.float32)) if needed else None
            for bias, needed in zip(biases, ctx.needs_input_grad[5:], strict=True)
        ]
        for i, (part, pieces) in enumerate(chunks(q, k, ctx.counts)):
            part_q, part_k, part_v, part_grad = (x[part].contiguous() for x in (q, k, v, grad))
            weights = kept[i] if kept else normalised(*weigh(part_q, part_k, biases_of(pieces, biases), ctx.scale))
            grad_v[part] = weights.mT @ part_grad
            grad_scores = torch._softmax_backward_data(part_grad @ part_v.mT, weights, -1, weights.dtype)
            grad_q[part] = (grad_scores @ part_k).mul_(ctx.scale)
            grad_k[part] = (grad_scores.mT @ part_q).mul_(ctx.scale)
            for place, total in biases_of(pieces, grad_biases):
                if total is not None:
                    total += grad_scores[place].sum_to_size(total.shape)
        return grad_q, grad_k, grad_v, None, None, *grad_biases


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float,
    counts: Sequence[int],
    biases: Sequence[Tensor | None],
    kept: list[Tensor] | None = None,
) -> Tensor:
    """softmax(scale * q k^T + bias) v.

    q: (n, h, N, d); k, v: (n, h, M, d); counts: how many successive windows share each of the biases, which are
    broadcastable to (count, h, N, M), with 1 or count as their first side, or None; kept: receives the probabilities of
    each chunk, (windows, h, N, M) -> (n, h, N, d).
    """
    out = empty_maps(v, q.shape[2])
    for part, pieces in chunks(q, k, counts):
        weights, sums = weigh(q[part], k[part], biases_of(pieces, biases), scale)
        if kept is not None:
            weights, sums = normalised(weights, sums), None
            kept.append(weights)
        result = weights @ v[part]
        if sums is not None:
            result.div_(sums.expand_as(result).contiguous())  # dividing short rows one by one is slow
        out[part] = result
    return out


def attend_whole(
    q: Tensor, k: Tensor, v: Tensor, *biases: Tensor | None, scale: float, counts: Sequence[int]
) -> Tensor:
    """What `attend` computes, all windows at once and in operators that can be differentiated again and again."""
    runs = (q * scale @ k.mT).split(list(counts))
    biased = [run if bias is None else run + bias for run, bias in zip(runs, biases, strict=True)]
    return torch.cat(biased).softmax(-1).to(v.dtype) @ v


@dataclass(frozen=True)
class Piece:
    """Windows of one run in a chunk: `place` among the chunk's, `within` the run's."""

    run: int
    place: slice
    within: slice


def chunks(q: Tensor, k: Tensor, counts: Sequence[int]) -> Iterator[tuple[slice, list[Piece]]]:
    """Some windows at a time: which of all they are, and what runs they are pieces of."""
    size = max(1, SCORE_BYTES // (q[0, :, :, 0].numel() * k.shape[2] * q.element_size()))
    starts = list(accumulate(counts, initial=0))
    for start in range(0, starts[-1], size):
        stop = min(start + size, starts[-1])
        pieces = []
        for run, (first, last) in enumerate(pairwise(starts)):
            low, high = max(start, first), min(stop, last)
            if low < high:
                pieces.append(Piece(run, slice(low - start, high - start), slice(low - first, high - first)))
        yield slice(start, stop), pieces


def biases_of(pieces: Sequence[Piece], biases: Sequence[Tensor | None]) -> list[tuple[slice, Tensor | None]]:
    """The bias of each piece, and its place in the chunk."""
    found = [(piece, biases[piece.run]) for piece in pieces]
    return [(piece.place, bias if bias is None or bias.shape[0] == 1 else bias[piece.within]) for piece, bias in found]


def weigh(
    q: Tensor, k: Tensor, biases: Sequence[tuple[slice, Tensor | None]], scale: float
) -> tuple[Tensor, Tensor | None]:
    """Exponentials of the scores (windows, h, N, M) and their sums (windows, h, N, 1).

    Where exponentials overflow or vanish: the softmax, computed in float32 at least, and None. Powers of 2 are the
    faster ones.
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


def normalised(weights: Tensor, sums: Tensor | None) -> Tensor:
    """Probabilities, in the place of the exponentials, from what `weigh` returns."""
    return weights if sums is None else weights.div_(sums)


def in_range(sums: Tensor) -> bool:
    """Whether sums of exponentials have neither overflowed nor vanished, which scores within +-60 cannot."""
    smallest, largest = (value.item() for value in torch.aminmax(sums))
    return 1 / SAFE_SUM < smallest <= largest < SAFE_SUM


def empty_maps(like: Tensor, tokens: int) -> Tensor:
    """(n, h, tokens, d) whose heads lie side by side in memory, as projections have them."""
    n, h, _, d = like.shape
    return like.new_empty(n, tokens, h, d).transpose(1, 2)
