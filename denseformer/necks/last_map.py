"""A block of attention on the coarsest map, which HTC++ has in front of its feature pyramid.

Papers: HTC++ in "Swin Transformer", https://arxiv.org/abs/2103.14030; this block in "Vision Transformer Adapter for
Dense Predictions", https://arxiv.org/abs/2205.08534.
Official code: https://github.com/czczup/ViT-Adapter (Apache-2.0).
"""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from denseformer.checkpoints.keys import RenamesKeys
from denseformer.layers import Mlp, PreNormBlock, SelfAttention, initializers
from denseformer.registry import MODELS


@MODELS.register_module()
class LastMapAttention(RenamesKeys, BaseModule):
    """A transformer block and a norm on the last of several maps: (B, C_i, H_i, W_i) each -> the same.

    Args:
        in_channels: of the maps.
        heads: of the attention of all places of the last map to all.
        drop_path: probability that a branch of the block is left out for an image, in training.
        init_cfg: mmengine's.
    """

    names = ((r'^(norm[12]|attn)\.', r'block.\1.'), (r'^ffn\.', 'block.mlp.'))

    def __init__(self, *, in_channels: Sequence[int], heads: int, drop_path: float = 0.0, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        dim = in_channels[-1]
        self.block = PreNormBlock(
            dim, SelfAttention(dim, heads), Mlp(dim, 4 * dim), drop_path=drop_path, norm=nn.LayerNorm
        )
        self.final_norm = nn.LayerNorm(dim)
        self.apply(initializers.linears)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """One (B, C_i, H_i, W_i) per map -> the same, the last one changed."""
        *finer, last = maps
        tokens = self.final_norm(self.block(last.flatten(2).transpose(1, 2)))  # (B, H * W, C)
        return *finer, tokens.transpose(1, 2).unflatten(2, last.shape[2:])
