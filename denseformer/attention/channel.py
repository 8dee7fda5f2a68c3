"""Attention among channels: tokens stand where channels usually do, so the cost is linear in their number.

Legend: B batch, N tokens, h heads (groups of channels), d channels of a head.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.precision import at_least_float32


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
    return q.permute(0, 2, 3, 1) @ k.transpose(1, 2) / k_norm[:, :, None]


def token_norms(x: Tensor) -> Tensor:
    """Lengths over all tokens, in float32 at least: (B, N, h, d) -> (B, h, d)."""
    return at_least_float32(x).square().sum(1).clamp_min(1e-24).sqrt()


def mix_channels(v: Tensor, mixture: Tensor) -> Tensor:
    """Channels mixed within heads: v (B, N, h, d), mixture (B, h, d, d) -> (B, N, h * d).

    A row of the mixture is what a channel of the output consists of.
    """
    return (v.transpose(1, 2) @ mixture.to(v.dtype).mT).transpose(1, 2).flatten(2)


def top_k_mixture(logits: Tensor, counts: Sequence[int], gains: Tensor) -> Tensor:
    """The sum over i of gains[i] * softmax over the counts[i] largest entries of each row: (..., d) -> (..., d)."""
    exact = at_least_float32(logits)
    mixtures = [gain * top_k_softmax(exact, count) for gain, count in zip(gains.unbind(), counts, strict=True)]
    return torch.stack(mixtures).sum(0).to(logits.dtype)


def top_k_softmax(logits: Tensor, count: int) -> Tensor:
    """The softmax over the `count` largest entries of each row, 0 elsewhere: (..., d) -> (..., d)."""
    kept = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, logits.topk(count).indices, True)
    return logits.masked_fill(~kept, float('-inf')).softmax(-1)


def spectral_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """ESSA: tokens attend by the squared correlation of their channels, to first order; all (B, N, C).

    Queries and keys are centred over their channels, squared and divided by their sum. Keys then get unit length over
    the tokens, queries over the channels, which undoes their division: it is left out.
    """
    q, k = ((x - x.mean(-1, keepdim=True)).square() for x in map(at_least_float32, (q, k)))
    q = F.normalize(q, dim=-1, eps=1e-19)
    k = F.normalize(k / (k.sum(-1, keepdim=True) + 1e-7), dim=1)
    context = (k.mT.to(v.dtype) @ v) / v.shape[1] ** 0.5  # (B, C, C)
    return v + q.to(v.dtype) @ context
