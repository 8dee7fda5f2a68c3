"""Modules that several networks share, and functions that go with them.

Networks take their parts from here, `Linear` among them, and everything else, `nn.LayerNorm` and convolutions, from
`torch.nn`. Rules of initial weights are in `initializers`.
"""

from denseformer.layers.block import PostNormBlock, PreNormBlock
from denseformer.layers.channel_first import ConvEmbed, to_channels_last
from denseformer.layers.conv import (
    BottleneckDownsample,
    ConvBatchNormDownsample,
    ConvNorm,
    ConvNormStem,
    ConvStem,
    DepthwiseConv,
    DepthwiseConv2d,
    DilatedDepthwiseConv,
    TwinConv,
    fuse_conv_norm,
)
from denseformer.layers.drop_path import DropPath, drop_path_rates
from denseformer.layers.dynamic_position import DynamicPositionBias
from denseformer.layers.embed import (
    ConvDownsample,
    NormedPatchDownsample,
    OverlapPatchEmbed,
    PatchDownsample,
    PatchEmbed,
    PatchMerging,
)
from denseformer.layers.layer_scale import apply_layer_scale, make_layer_scale
from denseformer.layers.linear import Linear, Pointwise
from denseformer.layers.mlp import ConvMlp, ConvMlp2d, ConvNormMlp, Mlp, Mlp2d
from denseformer.layers.neighborhood_attention import NeighborhoodAttention
from denseformer.layers.norm import ChannelLastBatchNorm, ImageNorm, LayerNorm2d
from denseformer.layers.padding import (
    pad_image_around,
    pad_image_to_multiple,
    pad_to_multiple,
    reflect_image_to,
    reflect_image_to_multiple,
    reflect_margin,
)
from denseformer.layers.pooling import average_to_grid
from denseformer.layers.position import resize_positions
from denseformer.layers.position_bias import CachedBias, DistanceBias, RelativePositionBias
from denseformer.layers.self_attention import GlobalAttention, QueryKeyValue, SelfAttention
from denseformer.layers.squeeze import SqueezeExcite, squeezed
from denseformer.layers.swiglu import SwiGLU
from denseformer.layers.window_attention import ShiftedWindowAttention

__all__ = [
    'BottleneckDownsample',
    'CachedBias',
    'ChannelLastBatchNorm',
    'ConvBatchNormDownsample',
    'ConvDownsample',
    'ConvEmbed',
    'ConvMlp',
    'ConvMlp2d',
    'ConvNorm',
    'ConvNormMlp',
    'ConvNormStem',
    'ConvStem',
    'DepthwiseConv',
    'DepthwiseConv2d',
    'DilatedDepthwiseConv',
    'DistanceBias',
    'DropPath',
    'DynamicPositionBias',
    'GlobalAttention',
    'ImageNorm',
    'LayerNorm2d',
    'Linear',
    'Mlp',
    'Mlp2d',
    'NeighborhoodAttention',
    'NormedPatchDownsample',
    'OverlapPatchEmbed',
    'PatchDownsample',
    'PatchEmbed',
    'PatchMerging',
    'Pointwise',
    'PostNormBlock',
    'PreNormBlock',
    'QueryKeyValue',
    'RelativePositionBias',
    'SelfAttention',
    'ShiftedWindowAttention',
    'SqueezeExcite',
    'SwiGLU',
    'TwinConv',
    'apply_layer_scale',
    'average_to_grid',
    'drop_path_rates',
    'fuse_conv_norm',
    'make_layer_scale',
    'pad_image_around',
    'pad_image_to_multiple',
    'pad_to_multiple',
    'reflect_image_to',
    'reflect_image_to_multiple',
    'reflect_margin',
    'resize_positions',
    'squeezed',
    'to_channels_last',
]
