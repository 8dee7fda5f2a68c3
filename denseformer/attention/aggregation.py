"""Token aggregation: tokens sorted by the center they resemble, attention in groups of the sorted sequence.

Legend: B batch, N tokens, C channels, T centers, g group size, n groups, L = (n + 1) * g, h heads, d
head width, e width of the values.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.attention.softmax import window_softmax_attention
from denseformer.dynamic_shapes import ceil_div, reflect


def chunk_means(tokens: Tensor, chunks: int) -> Tensor:
    """Means of `chunks` equal stretches of each sequence, continued backwards where it ends: (B, N, C) -> (B, T, C).

    A sequence that divides into `chunks` is continued by one token per chunk, as in CATANet.
    """
    B, N, C = tokens.shape
    length = (N // chunks + 1) * chunks
    continued = tokens[:, reflect(torch.arange(length, device=tokens.device), N, repeat_edge=True)]
    return continued.view(B, chunks, -1, C).mean(2)


def nearest_center(tokens: Tensor, centers: Tensor) -> Tensor:
    """(B, N) index of the center with the largest cosine: tokens (B, N, C), centers (B or 1, T, C)."""
    return (tokens @ F.normalize(centers, dim=-1).transpose(1, 2)).argmax(-1)


def k_means_step(tokens: Tensor, centers: Tensor) -> Tensor:
    """One step of spherical k-means over the whole batch: tokens (B, N, C), centers (T, C) -> (T, C), of unit length.

    A center that no token is nearest to stays. Differentiable in the tokens.
    """
    tokens, centers = F.normalize(tokens, dim=-1), F.normalize(centers, dim=-1)
    member = F.one_hot(nearest_center(tokens, centers[None]).flatten(), len(centers)).to(tokens.dtype)  # (B*N, T)
    moved = F.normalize(member.T @ tokens.flatten(0, 1), dim=-1)
    return torch.where(member.any(0)[:, None], moved, centers)


def grouping_order(index: Tensor, group: int, stable: bool = True) -> Tensor:
    """Positions of tokens sorted by `index` (B, N), and continued backwards: (B, L), L = (n + 1) * group.

    stable: keep tokens of one index in their order; otherwise they come as the device's fastest sort leaves them.
    """
    N = index.shape[1]
    length = (ceil_div(N, group) + 1) * group
    return index.argsort(dim=-1, stable=stable)[
        :, reflect(torch.arange(length, device=index.device), N, repeat_edge=True)
    ]


def grouped_attention(q: Tensor, k: Tensor, v: Tensor, group: int) -> Tensor:
    """Each group of a sequence attends to itself and the group after it.

    q, k: (B, L, h, d), v: (B, L, h, e), L = (n + 1) * group; the last group only serves as keys ->
    (B, n * group, h * e).
    """
    B, L, _, _ = q.shape
    q = q[:, : L - group].unflatten(1, (-1, group)).flatten(0, 1).transpose(1, 2)  # (B*n, h, g, d)
    k, v = (x.unfold(1, 2 * group, group).flatten(0, 1).transpose(2, 3) for x in (k, v))  # (B*n, h, 2g, d)
    return window_softmax_attention(q, k, v).view(B, L - group, -1)
