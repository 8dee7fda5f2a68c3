"""Token aggregation: tokens sorted by the centre they resemble, attention in groups of the sorted sequence.

Legend: B batch, N tokens, C channels, T centres, g group size, n groups, L = (n + 1) * g, h heads, d head width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.dynamic_shapes import ceil_div, is_symbolic
from denseformer.kernels.segmented_attention import window_softmax_attention


def to_and_fro(size: int, length: int, device: torch.device) -> Tensor:
    """(length,) positions that run 0 .. size - 1, back size - 1 .. 0, forth again ..."""
    period = torch.scalar_tensor(2 * size, dtype=torch.int64, device=device)
    position = torch.arange(length, device=device) % period
    return torch.minimum(position, period - 1 - position)


def chunk_means(tokens: Tensor, chunks: int) -> Tensor:
    """Means of `chunks` equal stretches of each sequence, continued backwards where it ends: (B, N, C) -> (B, T, C).

    A sequence that divides into `chunks` is continued by one token per chunk, as in CATANet.
    """
    B, N, C = tokens.shape
    length = (N // chunks + 1) * chunks
    continued = tokens[:, to_and_fro(N, length, tokens.device)]
    return continued.view(B, chunks, -1, C).mean(2)


def nearest_centre(tokens: Tensor, centres: Tensor) -> Tensor:
    """(B, N) index of the centre with the largest cosine: tokens (B, N, C), centres (B or 1, T, C)."""
    return (tokens @ F.normalize(centres, dim=-1).transpose(1, 2)).argmax(-1)


def k_means_step(tokens: Tensor, centres: Tensor) -> Tensor:
    """One step of spherical k-means over the whole batch: tokens (B, N, C), centres (T, C) -> (T, C), of unit length.

    A centre that no token is nearest to stays. Differentiable in the tokens.
    """
    tokens, centres = F.normalize(tokens, dim=-1), F.normalize(centres, dim=-1)
    member = F.one_hot(nearest_centre(tokens, centres[None]).flatten(), len(centres)).to(tokens.dtype)  # (B*N, T)
    moved = F.normalize(member.T @ tokens.flatten(0, 1), dim=-1)
    return torch.where(member.any(0)[:, None], moved, centres)


def grouping_order(index: Tensor, group: int, stable: bool = True) -> Tensor:
    """Positions of tokens sorted by `index` (B, N), and continued backwards: (B, L), L = (n + 1) * group.

    stable: keep tokens of one index in their order; otherwise they come as the device's fastest sort leaves them.
    """
    N = index.shape[1]
    length = (ceil_div(N, group) + 1) * group
    return index.argsort(dim=-1, stable=stable)[:, to_and_fro(N, length, index.device)]


def overlapping_pieces(order: Tensor, group: int, length: int) -> list[Tensor]:
    """`order` (B, L) cut into pieces of about `length` for `grouped_attention`: each ends with the next one's start.

    It stays whole where it is open how many there are.
    """
    if is_symbolic(order.shape[1], length):
        return [order]
    length = max(length // group, 1) * group
    return [order[:, first : first + length + group] for first in range(0, order.shape[1] - group, length)]


def grouped_attention(q: Tensor, k: Tensor, v: Tensor, group: int, scale: float) -> Tensor:
    """Each group of a sequence attends to itself and the group after it.

    q, k, v: (B, L, h, d), L = (n + 1) * group; the last group only serves as keys -> (B, n * group, h * d).
    """
    B, L, _, _ = q.shape
    q = q[:, : L - group].unflatten(1, (-1, group)).flatten(0, 1).transpose(1, 2)  # (B*n, h, g, d)
    k, v = (x.unfold(1, 2 * group, group).flatten(0, 1).transpose(2, 3) for x in (k, v))  # (B*n, h, 2g, d)
    return window_softmax_attention(q, k, v, scale=scale).view(B, L - group, -1)
