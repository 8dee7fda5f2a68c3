"""Softmax attention over some of the keys of a softmax, through the fused kernel of any device.

Legend: B batch, h heads, N queries, P keys, d head width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.kernels.switch import enabled

LANE = 8
"""Head widths that fused kernels take are multiples of this."""


def applies() -> bool:
    return enabled()


def attention_with_rest(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Attention over the keys given and one more of logit `rest` and value 0, and the weight of that one.

    q: (B, h, N, d); k, v: (B, h, P, d); bias: (B or 1, h, N, P); rest: (B, h, N, 1) -> (B, h, N, d), (B, h, N, 1).

    The further key is told apart by one more channel, in which q carries `rest` and the value carries 1.
    """
    d = q.shape[-1]
    spare = LANE - d % LANE
    q = F.pad(torch.cat([q, rest.to(q.dtype)], -1), (0, spare - 1))  # (B, h, N, d + spare)
    k, v = (F.pad(x, (0, spare, 0, 1)) for x in (k, v))  # (B, h, P + 1, d + spare)
    k[..., -1, d] = v[..., -1, d] = 1
    bias = F.pad(bias, (0, 1)).to(q.dtype).expand(q.shape[0], -1, -1, -1)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
    return out[..., :d], out[..., d : d + 1]
