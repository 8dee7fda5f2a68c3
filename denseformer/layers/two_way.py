"""SAM's two-way transformer: tokens read an image, and the image reads the tokens.

Paper: "Segment Anything", https://arxiv.org/abs/2304.02643; official code:
https://github.com/facebookresearch/segment-anything (Apache-2.0).

What the tokens were at first is added to them, and positions to the image, wherever queries and keys are made.

Legend: B batch, T tokens, L places of the image, N of either as queries, M as keys, C channels.
"""

from torch import Tensor, nn

from denseformer.attention.softmax import window_softmax_attention
from denseformer.layers.linear import Linear
from denseformer.layers.mlp import Mlp


class NarrowAttention(nn.Module):
    """Attention in `dim // narrower` channels: queries (B, N, C), keys and values (B, M, C) -> (B, N, C)."""

    def __init__(self, dim: int, heads: int, narrower: int = 1):
        super().__init__()
        self.heads = heads
        self.q_proj = Linear(dim, dim // narrower)
        self.k_proj = Linear(dim, dim // narrower)
        self.v_proj = Linear(dim, dim // narrower)
        self.out_proj = Linear(dim // narrower, dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (
            x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in (self.q_proj(q), self.k_proj(k), self.v_proj(v))
        )
        return self.out_proj(window_softmax_attention(q, k, v))


class TwoWayBlock(nn.Module):
    """Tokens attend to one another, then to the image; after an MLP of theirs the image attends to them.

    first: tokens are what they were at first, so nothing is added to them, and self-attention replaces them.
    """

    def __init__(self, dim: int, heads: int, hidden: int, narrower: int, first: bool):
        super().__init__()
        self.first = first
        self.self_attn = NarrowAttention(dim, heads)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn_token_to_image = NarrowAttention(dim, heads, narrower)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, hidden, nn.ReLU)
        self.norm3 = nn.LayerNorm(dim)
        self.cross_attn_image_to_token = NarrowAttention(dim, heads, narrower)
        self.norm4 = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, image: Tensor, origin: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """tokens, origin: (B, T, C); image, position: (B, L, C) -> tokens and image."""
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + origin
            tokens = tokens + self.self_attn(q, q, tokens)
        tokens = self.norm1(tokens)
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + origin, image + position, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.cross_attn_image_to_token(image + position, tokens + origin, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    """Blocks that change tokens and image, and a last look of the tokens at the image.

    Args:
        dim, heads, hidden: channels, heads of attention, and channels of the MLPs.
        depth: the number of blocks.
        narrower: by which attention between tokens and image has fewer channels.
    """

    def __init__(self, dim: int = 256, heads: int = 8, hidden: int = 2048, depth: int = 2, narrower: int = 2):
        super().__init__()
        self.layers = nn.ModuleList(TwoWayBlock(dim, heads, hidden, narrower, first=i == 0) for i in range(depth))
        self.final_attn_token_to_image = NarrowAttention(dim, heads, narrower)
        self.norm_final_attn = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, image: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """tokens: (B, T, C); image, position: (B, L, C) -> tokens and image."""
        origin = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, origin, position)
        found = self.final_attn_token_to_image(tokens + origin, image + position, image)
        return self.norm_final_attn(tokens + found), image
