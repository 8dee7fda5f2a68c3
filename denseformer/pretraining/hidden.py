"""Hidden patches: a backbone that is given a token in their place, and the transformer that decodes what it made of it.

Where patches are embedded in parts, or overlap, hidden pixels have a learned color instead.

Legend: B batch, C channels, H W image, h w a map, N tokens.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.backbones.base import Backbone
from denseformer.backbones.plain.base import PlainBackbone
from denseformer.backbones.plain.crossvit import CrossViT
from denseformer.layers import Linear, Mlp, PreNormBlock, SelfAttention
from denseformer.registry import MODELS

PROBED = 64
"""Side of the image that tells the sizes of embedded patches."""


def last_map_backbone(backbone: Mapping[str, Any], method: str) -> tuple[Backbone, int]:
    """The backbone of a config with its last map alone, normed where it has a final norm, and the map's index.

    Raises ValueError, in the name of a method, for what is no backbone of this project, and for CrossViT.
    """
    kind = MODELS.get(backbone['type'])
    if not (isinstance(kind, type) and issubclass(kind, Backbone)):
        raise ValueError(f"{method} hides patches of a backbone of this project, and '{backbone['type']}' is none.")
    if issubclass(kind, CrossViT):
        raise ValueError(
            f'{method} decodes the last map, and CrossViT has those of two branches, of which none is last.'
        )
    last = len(kind.resolve_arch(backbone['arch']).widths) - 1
    normed = {'norm_outputs': True} if issubclass(kind, PlainBackbone) and kind.has_final_norm else {}
    return MODELS.build({**normed, **backbone, 'out_indices': (last,)}), last


def embedding_of(backbone: Backbone) -> tuple[nn.Module, int]:
    """The module whose output is a map of embedded patches, and the axis of the map's channels."""
    if isinstance(backbone, PlainBackbone):
        return backbone.patch_embed.patches, 1
    return backbone.patch_embed, 3 if backbone.channels_last else 1


@torch.no_grad()
def token_sizes(backbone: Backbone) -> tuple[int, int]:
    """Channels of what stands for hidden patches, and the side in pixels of the smallest part that can be hidden.

    They are those of embedded patches, of which norms keep their statistics, or of single pixels.
    """
    if backbone.embeds_parts:
        return backbone.in_channels, 1
    embedding, axis = embedding_of(backbone)
    training = embedding.training
    shape = embedding.eval()(torch.zeros(1, backbone.in_channels, PROBED, PROBED)).shape
    embedding.train(training)
    return shape[axis], backbone.patch_size if isinstance(backbone, PlainBackbone) else PROBED // shape[2]


def map_without(backbone: Backbone, image: Tensor, hidden: Tensor, token: Tensor, side: int) -> Tensor:
    """The last map (B, C, h, w) of an image whose hidden pixels, (B, H, W), are embedded as `token`, or have its color.

    Parts of `side` x `side` pixels are hidden as a whole; both are those of `token_sizes`.
    """
    if backbone.embeds_parts:
        return backbone(torch.where(hidden[:, None] > 0, token.view(-1, 1, 1).to(image.dtype), image))[-1]
    embedding, axis = embedding_of(backbone)

    def hide(module: nn.Module, inputs: Any, embedded: Tensor) -> Tensor:
        size = embedded.shape[2:] if axis == 1 else embedded.shape[1:3]
        corners = hidden[:, ::side, ::side]  # of patches, whose pixels are hidden all or none
        beyond = [b - a for a, b in zip(corners.shape[1:], size, strict=True)]  # what is padded, or left out
        mask = F.pad(corners, (0, beyond[1], 0, beyond[0])).unsqueeze(axis)  # (B, 1, h, w) or (B, h, w, 1)
        return embedded * (1 - mask) + token.view([-1 if i == axis else 1 for i in range(4)]) * mask

    handle = embedding.register_forward_hook(hide)
    try:
        return backbone(image * (1 - hidden[:, None]))[-1]  # visible patches may overlap hidden ones
    finally:
        handle.remove()


class TokenDecoder(nn.Module):
    """Blocks, a norm and a linear layer: tokens (B, N, C) with their positions -> (B, N, out)."""

    def __init__(
        self,
        dim: int,
        out: int,
        *,
        blocks: int,
        heads: int,
        eps: float,
        qkv_bias: bool = True,
        layer_scale: float | None = None,
    ):
        super().__init__()
        norm = partial(nn.LayerNorm, eps=eps)
        self.blocks = nn.ModuleList(
            PreNormBlock(
                dim,
                SelfAttention(dim, heads, qkv_bias=qkv_bias),
                Mlp(dim, 4 * dim),
                drop_path=0.0,
                norm=norm,
                layer_scale=layer_scale,
            )
            for _ in range(blocks)
        )
        self.norm = norm(dim)
        self.head = Linear(dim, out)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))
