"""Foveal attention: every query attends to its 3 x 3 neighbours and to pooled keys of the whole map in one softmax.

Legend: B batch, H W map, h heads, d head width, P pooled keys, T = 9 taps of the neighbourhood.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.attention.neighbors_3x3 import inside_map, taps

LANE = 8
"""Head widths are padded to a multiple of this, which is what fast attention kernels take."""


def foveal_attention(
    q: Tensor, k: Tensor, v: Tensor, pooled: tuple[Tensor, Tensor], local_bias: Tensor, pool_bias: Tensor, extra: Tensor
) -> Tensor:
    """q, k, v: (B, H, W, h, d), logits are q . k unscaled; pooled: keys and values (B, P, h, d).

    local_bias (h, T) and pool_bias (h, H*W, P) are added to the logits; extra (B, H, W, h, T) is added to the weights
    of the neighbours after the softmax. Neighbours outside the map have weight and value 0 -> (B, H, W, h, d).
    """
    logits = torch.stack([(q * tap).sum(-1) for tap in taps(k)], -1) + local_bias  # (B, H, W, h, T)
    outside = ~inside_map(q.shape[1], q.shape[2], q.device)[:, :, None]
    logits = logits.masked_fill(outside, float('-inf'))
    out, local_mass = attention_with_rest(q, *pooled, pool_bias, logits.logsumexp(-1))
    weights = extra + logits.softmax(-1) * local_mass
    for t, tap in enumerate(taps(v)):
        out = out + weights[..., t, None] * tap
    return out


def attention_with_rest(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Attention over the keys given and one more of logit `rest` and value 0, and the weight of that one.

    q: (B, H, W, h, d); k, v: (B, P, h, d); bias: (h, H*W, P); rest: (B, H, W, h), the log of the mass of other keys
    in the same softmax -> (B, H, W, h, d) and (B, H, W, h, 1).

    The further key is told apart by one more channel, in which q carries `rest` and the value carries 1.
    """
    B, H, W, h, d = q.shape
    spare = LANE - d % LANE
    q = torch.cat([q, rest[..., None].to(q.dtype), q.new_zeros(B, H, W, h, spare - 1)], -1)
    k, v = (F.pad(x, (0, spare, 0, 0, 0, 1)) for x in (k, v))  # (B, P+1, h, d + spare)
    k[:, -1, :, d] = v[:, -1, :, d] = 1
    q, k, v = q.flatten(1, 2).transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (B, h, ., d + spare)
    bias = F.pad(bias, (0, 1)).to(q.dtype).expand(B, -1, -1, -1)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
    out = out.transpose(1, 2).unflatten(1, (H, W))  # (B, H, W, h, d + spare)
    return out[..., :d], out[..., d : d + 1]
