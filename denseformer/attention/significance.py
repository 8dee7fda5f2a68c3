"""Significance: how much attention a token receives, and attention to few tokens where little is significant.

Legend: B batch, h heads, N queries, M keys, d head width, C channels.
"""

import torch
from torch import Tensor

from denseformer.attention.patches import take_tokens
from denseformer.dynamic_shapes import ceil_div, is_symbolic
from denseformer.precision import at_least_float32

QUERIES_AT_ONCE = 4096


@torch.no_grad()
def attention_received(q: Tensor, k: Tensor) -> Tensor:
    """The mean weight that softmax attention gives to each key: q (B, h, N, d), k (B, h, M, d) -> (B, M).

    In float32 at least: tokens are sorted by it, and in bfloat16 many are equal.
    """
    q, k = at_least_float32(q), at_least_float32(k)
    parts = [q] if is_symbolic(q.shape[2]) else q.split(QUERIES_AT_ONCE, dim=2)
    received = sum(torch.softmax(part @ k.transpose(-2, -1) * q.shape[-1] ** -0.5, -1).sum((1, 2)) for part in parts)
    return received / (q.shape[1] * q.shape[2])


def window_attention_received(qkv: Tensor, heads: int, inside: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Softmax attention inside each window, and the mean weight that each token receives in it.

    qkv: (B, n, N, 3C), laid out (3, h, d) on the last axis; inside: (n, N), False for padding, which neither attends
    nor is attended to -> (B, n, N, C), (B, n, N), the latter in float32 at least.
    """
    q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(3, 0, 1, 4, 2, 5)  # each (B, n, h, N, d)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if inside is not None:
        scores = scores.masked_fill(~inside[:, None, None, :], float('-inf'))
    weights = at_least_float32(scores).softmax(-1)
    received = weights.detach().mean(2)  # (B, n, N, N)
    if inside is None:
        received = received.mean(-2)
    else:
        received = (received * inside[:, :, None]).sum(-2) / inside.sum(-1, keepdim=True)
    return (weights.to(v.dtype) @ v).transpose(2, 3).flatten(3), received


def significance_order(significance: Tensor, groups: tuple[int, ...], shares: tuple[int, ...]) -> list[Tensor]:
    """Tokens in ascending order of significance, cut into parts by `shares`, each a whole number of groups long.

    A part that does not divide into groups is stretched to one more by repeating tokens, evenly spread; none is left
    out. significance: (B, N) -> per part (B, a multiple of its group), positions of tokens.
    """
    N = significance.shape[1]
    order = significance.sort(dim=1, stable=True).indices
    bounds = [N // sum(shares) * sum(shares[:i]) for i in range(len(shares))] + [N]
    parts = []
    for group, start, stop in zip(groups, bounds, bounds[1:], strict=False):
        length = stop - start
        stretched = ceil_div(length, group) * group
        parts.append(order[:, start + torch.arange(stretched, device=order.device) * length // stretched])
    return parts


def merge_groups(tokens: Tensor, positions: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Weighted sums of groups of tokens: tokens (B, N, C), positions (B, n * g), weight (1, g) -> (B, n, C)."""
    groups = take_tokens(tokens, positions).unflatten(1, (-1, weight.shape[1]))  # (B, n, g, C)
    return (weight @ groups).squeeze(2) + bias
