"""Small parts that several networks share."""

from denseformer.layers.block import PostNormBlock, PreNormBlock
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
from denseformer.layers.drop_path import DropPath
from denseformer.layers.embed import (
    ConvDownsample,
    NormedPatchDownsample,
    OverlapPatchEmbed,
    PatchDownsample,
    PatchEmbed,
    PatchMerging,
)
from denseformer.layers.mlp import ConvMlp, ConvMlp2d, ConvNormMlp, Mlp, Mlp2d, accumulate_mlp
from denseformer.layers.norm import ChannelLastBatchNorm, LayerNorm, LayerNorm2d
from denseformer.layers.padding import pad_image_to_multiple, pad_to_multiple
from denseformer.layers.scale import accumulate_scaled, add_scaled, gain, scaled

__all__ = [
    'BottleneckDownsample',
    'ChannelLastBatchNorm',
    'ConvBatchNormDownsample',
    'ConvDownsample',
    'ConvMlp',
    'ConvMlp2d',
    'ConvNorm',
    'ConvNormMlp',
    'ConvNormStem',
    'ConvStem',
    'DepthwiseConv',
    'DepthwiseConv2d',
    'DilatedDepthwiseConv',
    'DropPath',
    'LayerNorm',
    'LayerNorm2d',
    'Mlp',
    'Mlp2d',
    'NormedPatchDownsample',
    'OverlapPatchEmbed',
    'PatchDownsample',
    'PatchEmbed',
    'PatchMerging',
    'PostNormBlock',
    'PreNormBlock',
    'TwinConv',
    'accumulate_mlp',
    'accumulate_scaled',
    'add_scaled',
    'fuse_conv_norm',
    'gain',
    'pad_image_to_multiple',
    'pad_to_multiple',
    'scaled',
]
