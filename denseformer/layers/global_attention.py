"""Multi-head self-attention of all tokens of a map."""

from torch import Tensor, nn

from denseformer.attention.windows import window_attention
from denseformer.layers.linear import Linear


class GlobalAttention(nn.Module):
    """Attention of all tokens to all: (B, H, W, C) -> the same."""

    def __init__(self, dim: int, heads: int, qkv_bias: bool = True):
        super().__init__()
        self.heads = heads
        self.qkv = Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        out = window_attention(self.qkv(x).flatten(1, 2)[:, None], self.heads)
        return self.proj(out.view_as(x))
