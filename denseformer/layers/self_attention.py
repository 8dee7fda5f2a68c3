"""Self-attention of all tokens, of a sequence or a map, optionally with rotary positions or a learned bias per offset.

Legend: B batch, N tokens, C channels, h heads, d head width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer import kernels
from denseformer.attention.rotary import Rotation, rotate_halves
from denseformer.attention.softmax import capped_attention, window_softmax_attention
from denseformer.layers.linear import Linear


class QueryKeyValue(Linear):
    """The three projections of attention, without a bias on the keys: (..., C) -> (..., 3C).

    The bias of a key adds the same to all logits of a query, unless keys are rotated.
    """

    def __init__(self, dim: int):
        super().__init__(dim, 3 * dim, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(dim))
        self.v_bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        weight = self.weight  # read once: it may be parametrized
        if kernels.linear.applies(x, weight):
            return kernels.linear.linear(x, weight, bias)
        return F.linear(x, weight, bias)


class SelfAttention(nn.Module):
    """Softmax attention of all tokens to all: (B, N, C) -> the same.

    qkv_bias: True for a bias on queries, keys and values, 'qv' for none on keys, False for none. `forward` takes what
    the network made of the image's size: a rotation of queries and keys, or a bias (1, h, N, N) on the logits. scale:
    of the logits, d ** -0.5 unless given; logit_cap: what logits without a bias approach but do not exceed.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        qkv_bias: bool | str = True,
        scale: float | None = None,
        logit_cap: float | None = None,
    ):
        super().__init__()
        self.heads = heads
        self.scale = scale
        self.logit_cap = logit_cap
        self.qkv = QueryKeyValue(dim) if qkv_bias == 'qv' else Linear(dim, 3 * dim, bias=bool(qkv_bias))
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor, rotation: Rotation | None = None, bias: Tensor | None = None) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, h, N, d)
        if rotation is not None:
            q, k = rotate_halves(q, rotation), rotate_halves(k, rotation)
        if self.logit_cap is not None:
            return self.proj(capped_attention(q, k, v, self.logit_cap, self.scale))
        return self.proj(window_softmax_attention(q, k, v, bias, self.scale))


class GlobalAttention(SelfAttention):
    """Attention of all tokens of a map to all: (B, H, W, C) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1, 2)).view_as(x)
