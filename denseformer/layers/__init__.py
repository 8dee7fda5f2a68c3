"""Small parts that several networks share."""

from denseformer.layers.drop_path import DropPath
from denseformer.layers.embed import ConvDownsample, PatchEmbed, PatchMerging
from denseformer.layers.mlp import Mlp
from denseformer.layers.norm import LayerNorm2d
from denseformer.layers.padding import pad_image_to_multiple, pad_to_multiple

__all__ = [
    'ConvDownsample',
    'DropPath',
    'LayerNorm2d',
    'Mlp',
    'PatchEmbed',
    'PatchMerging',
    'pad_image_to_multiple',
    'pad_to_multiple',
]
