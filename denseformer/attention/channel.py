"""Attention among channels: tokens stand where channels usually do, so the cost is linear in their number.

Legend: B batch, N tokens, h heads (groups of channels), d channels of a head.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def channel_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """DaViT's: each channel of the output is a mixture of the channels of q, weighted by softmax(k^T v / sqrt(d)).

    q, k, v: (B, h, N, d) -> (B, h, N, d).
    """
    weights = (k * k.shape[-1] ** -0.5).mT @ v  # (B, h, d, d), scaled first, for a sum over many tokens
    return q @ weights.softmax(-1).mT


def channel_cosines(q: Tensor, k: Tensor) -> Tensor:
    """Cosines, over all tokens, between the channels of q and those of k: (B, N, h, d) each -> (B, h, d, d)."""
    q_norm, k_norm = (token_norms(x) for x in (q, k))
    q = (q / q_norm[:, None]).to(q.dtype)  # first, for a sum over many tokens
    return (q.permute(0, 2, 3, 1) @ k.transpose(1, 2)) / k_norm[:, :, None]


def narrow_channel_cosines(q: Tensor, k: Tensor, heads: int) -> Tensor:
    """The same for narrow heads, (B, N, h * d) each -> (B, h, d, d).

    One product of all channels with all is faster than a batch of products that are a few channels wide.
    """
    with torch.autocast(q.device.type, enabled=False):
        q, k = (wide_range(x) for x in (q, k))
        products = (q.mT @ k).unflatten(2, (heads, -1)).unflatten(1, (heads, -1))  # (B, h, d, h, d)
    q_norm, k_norm = (token_norms(x).unflatten(1, (heads, -1)) for x in (q, k))  # (B, h, d)
    products = products.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2)  # (B, h, d, d)
    return products / q_norm[..., None] / k_norm[:, :, None]


def token_norms(x: Tensor) -> Tensor:
    """Lengths over all tokens, in float32: (B, N, ...) -> (B, ...); PyTorch's norm is slow along a leading axis."""
    return wide_range(x).square().sum(1).float().clamp_min(1e-24).sqrt()


def wide_range(x: Tensor) -> Tensor:
    """x in a type whose range sums over many tokens do not leave."""
    return x.float() if x.dtype is torch.float16 else x


def mix_channels(v: Tensor, mixture: Tensor, weight: Tensor) -> Tensor:
    """Channels mixed within heads, then projected, in one product.

    v: (B, N, h, d); mixture: (B, h, d, d), rows of the output's channels; weight: of the projection, (C, h * d)
    -> (B, N, C).
    """
    weight = weight.unflatten(1, mixture.shape[1:3])  # (C, h, d)
    mixer = torch.einsum('bhij,chi->bhjc', mixture.to(v.dtype), weight.to(v.dtype))
    return v.flatten(2) @ mixer.flatten(1, 2)


def top_k_mixture(logits: Tensor, counts: Sequence[int], gains: Tensor) -> Tensor:
    """The sum over i of gains[i] * softmax over the counts[i] largest entries of each row: (..., d) -> (..., d).

    Each row is sorted once: the entries that a softmax is taken over are the first of the sorted row.
    """
    largest, index = logits.float().topk(max(counts), sorted=True)
    powers = (largest - largest[..., :1]).exp()
    sums = powers.cumsum(-1)
    share = sum(
        F.pad(gain / sums[..., count - 1 : count].expand(*sums.shape[:-1], count), (0, sums.shape[-1] - count))
        for gain, count in zip(gains.unbind(), counts, strict=True)
    )
    mixture = torch.zeros_like(logits, dtype=torch.float32).scatter(-1, index, powers * share)
    return mixture.to(logits.dtype)


def spectral_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """ESSA: tokens attend by the squared correlation of their channels, to first order; all (B, N, C).

    Queries and keys are centred over their channels, squared and divided by their sum. Keys then get unit length over
    the tokens, queries over the channels, which undoes their division: it is left out.
    """
    q, k = ((x.float() - x.float().mean(-1, keepdim=True)).square() for x in (q, k))
    q = F.normalize(q, dim=-1, eps=1e-19)
    k = F.normalize(k / (k.sum(-1, keepdim=True) + 1e-7), dim=1)
    context = (k.mT.to(v.dtype) @ v) / v.shape[1] ** 0.5  # (B, C, C)
    return v + q.to(v.dtype) @ context
