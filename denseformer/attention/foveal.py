"""Foveal attention: every query attends to its 3 x 3 neighbors and to pooled keys of the whole map in one softmax.

Legend: B batch, H W map, h heads, d head width, P pooled keys, T = 9 offsets of the neighborhood.
"""

import torch
from torch import Tensor

from denseformer import kernels
from denseformer.attention.neighbors_3x3 import inside_map, shifts_3x3


def foveal_attention(
    q: Tensor, k: Tensor, v: Tensor, pooled: tuple[Tensor, Tensor], local_bias: Tensor, pool_bias: Tensor, extra: Tensor
) -> Tensor:
    """q, k, v: (B, H, W, h, d), logits are q . k unscaled; pooled: keys and values (B, P, h, d).

    local_bias (h, T) and pool_bias (h, H*W, P) are added to the logits; extra (B, H, W, h, T) is added to the weights
    of the neighbors after the softmax. Neighbors outside the map have weight and value 0 -> (B, H, W, h, d).
    """
    logits = torch.stack([(q * near).sum(-1) for near in shifts_3x3(k)], -1) + local_bias  # (B, H, W, h, T)
    outside = ~inside_map(q.shape[1], q.shape[2], q.device)[:, :, None]
    logits = logits.masked_fill(outside, float('-inf'))
    tokens, mass = (x.flatten(1, 2).transpose(1, 2) for x in (q, logits.logsumexp(-1, keepdim=True)))  # (B, h, H*W, .)
    keys, values = (x.transpose(1, 2) for x in pooled)  # (B, h, P, d)
    shared = attention_with_rest(tokens, keys, values, pool_bias[None], mass)
    out, local_mass = (x.transpose(1, 2).unflatten(1, q.shape[1:3]) for x in shared)  # (B, H, W, h, d), (B, H, W, h, 1)
    weights = extra + logits.softmax(-1) * local_mass
    for t, near in enumerate(shifts_3x3(v)):
        out = out + weights[..., t, None] * near
    return out


def attention_with_rest(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Attention over the keys given and one more of logit `rest` and value 0, and the weight of that one.

    q: (B, h, N, d), logits are q . k unscaled; k, v: (B, h, P, d); bias: (B or 1, h, N, P); rest: (B, h, N, 1), the log
    of the mass of other keys in the same softmax -> (B, h, N, d) and (B, h, N, 1).
    """
    if kernels.rest.applies():
        return kernels.rest.attention_with_rest(q, k, v, bias, rest)
    weights = torch.cat([q @ k.mT + bias, rest], -1).softmax(-1).to(v.dtype)  # (B, h, N, P + 1)
    return weights[..., :-1] @ v, weights[..., -1:]
