"""timm's layouts, https://github.com/huggingface/pytorch-image-models (Apache-2.0), of the families that it carries.

Its classifiers say `stages.0.`, its feature extractors (`features_only=True`) `stages_0.`; downsampling belongs to the
stage it leads into. MaxViT and HaloNet, whose layout is timm's, take theirs themselves.
"""

import re

from denseformer.checkpoints.keys import StateDict, linear_from_pointwise, rename
from denseformer.checkpoints.layouts.layout import Layout

FLAT = (r'^(stages|layers)_(\d+)\.', r'\1.\2.')
"""Rules from the names of a feature extractor to those of a classifier."""


def closing_downsample(match: re.Match) -> str:
    """Name the downsampling that opens stage i as the authors do, who let it close stage i - 1."""
    return f'{match[1]}.{int(match[2]) - 1}.downsample.'


def swin(state_dict: StateDict) -> StateDict:
    return rename(state_dict, FLAT, (r'^(layers)\.(\d+)\.downsample\.', closing_downsample))


def convnext(state_dict: StateDict) -> StateDict:
    return rename(
        state_dict,
        FLAT,
        (r'^stem[._](\d)\.', r'downsample_layers.0.\1.'),
        (r'^stages\.(\d)\.downsample\.', r'downsample_layers.\1.'),
        (r'^stages\.(\d)\.blocks\.', r'stages.\1.'),
        (r'\.conv_dw\.', '.dwconv.'),
        (r'\.mlp\.fc([12])\.', r'.pwconv\1.'),
        (r'^head\.norm\.', 'norm.'),
        (r'^head\.fc\.', 'head.'),
    )


def focalnet(state_dict: StateDict) -> StateDict:
    renamed = rename(
        state_dict,
        FLAT,
        (r'^stem\.', 'patch_embed.'),
        (r'^(layers)\.(\d+)\.downsample\.', closing_downsample),
        (r'\.modulation\.norm\.', '.modulation.ln.'),
        (r'\.ls([12])\.gamma$', r'.gamma_\1'),
        (r'^head\.fc\.', 'head.'),
    )
    return linear_from_pointwise(renamed, r'\.(modulation\.f|modulation\.proj|mlp\.fc[12])\.weight$')


def davit(state_dict: StateDict) -> StateDict:
    return rename(
        state_dict,
        FLAT,
        (r'^stem\.conv\.', 'patch_embeds.0.proj.'),
        (r'^stem\.norm\.', 'patch_embeds.0.norm.'),
        (r'^stages\.(\d)\.downsample\.conv\.', r'patch_embeds.\1.proj.'),
        (r'^stages\.(\d)\.downsample\.norm\.', r'patch_embeds.\1.norm.'),
        (r'^stages\.(\d)\.blocks\.', r'main_blocks.\1.'),
        (r'\.cpe1\.proj\.', '.cpe.0.proj.'),
        (r'\.cpe2\.proj\.', '.cpe.1.proj.'),
        (r'^head\.norm\.', 'norms.'),
        (r'^head\.fc\.', 'head.'),
    )


def gcvit(state_dict: StateDict) -> StateDict:
    renamed = rename(
        state_dict,
        FLAT,
        (r'^stem\.conv1\.', 'patch_embed.proj.'),
        (r'^stem\.down\.', 'patch_embed.conv_down.'),
        (r'^(stages)\.(\d+)\.downsample\.', closing_downsample),
        (r'^stages\.\d\.norm\.', 'norm.'),
        (r'^stages\.', 'levels.'),
        (
            r'\.global_block\.blocks\.conv(\d)\.',
            lambda match: f'.q_global_gen.to_q_global.{int(match[1]) - 1}.conv_block.',
        ),
        (r'\.conv_block\.conv_dw\.', '.conv.0.'),
        (r'\.conv_block\.se\.fc1\.', '.conv.2.fc.0.'),
        (r'\.conv_block\.se\.fc2\.', '.conv.2.fc.2.'),
        (r'\.conv_block\.conv_pw\.', '.conv.3.'),
        (r'\.rel_pos\.relative_position_bias_table$', '.relative_position_bias_table'),
        (r'\.ls([12])\.gamma$', r'.gamma\1'),
        (r'^head\.norm\.', 'norm.'),
        (r'^head\.fc\.', 'head.'),
    )
    return linear_from_pointwise(renamed, r'\.conv\.2\.fc\.[02]\.weight$')


def poolformer(state_dict: StateDict) -> StateDict:
    return rename(
        state_dict,
        FLAT,
        (r'^stem\.conv\.', 'patch_embed.proj.'),
        (r'^stages\.(\d)\.downsample\.conv\.', lambda match: f'network.{2 * int(match[1]) - 1}.proj.'),
        (r'^stages\.(\d)\.blocks\.', lambda match: f'network.{2 * int(match[1])}.'),
        (r'\.layer_scale([12])\.scale$', r'.layer_scale_\1'),
        (r'^head\.norm\.', 'norm.'),
        (r'^head\.fc\.', 'head.'),
    )


def tnt(state_dict: StateDict) -> StateDict:
    """Words' positions are a map there; the variants called legacy are another network."""
    renamed = rename(
        state_dict,
        (r'^patch_pos$', 'outer_pos'),
        (r'^pixel_pos$', 'inner_pos'),
        (r'^pixel_embed\.', 'patch_embed.'),
        (r'(^|\.)norm([12])_proj\.', r'\1proj_norm\2.'),
        (r'\.(attn|mlp)_in\.', r'.inner_\1.'),
        (r'\.norm_in\.', '.inner_norm1.'),
        (r'\.norm_mlp_in\.', '.inner_norm2.'),
        (r'\.norm_out\.', '.outer_norm1.'),
        (r'\.attn_out\.', '.outer_attn.'),
        (r'\.norm_mlp\.', '.outer_norm2.'),
        (r'\.mlp\.', '.outer_mlp.'),
    )
    renamed['inner_pos'] = renamed['inner_pos'].flatten(2).transpose(1, 2)
    return renamed


LAYOUTS = {
    'Swin': Layout(r'^layers[._]3\.downsample\.', swin),
    'SwinV2': Layout(r'^layers[._]3\.downsample\.', swin),
    'ConvNeXt': Layout(r'^stem[._]\d\.', convnext),
    'FocalNet': Layout(r'^stem\.proj\.', focalnet),
    'DaViT': Layout(r'^stem\.conv\.', davit),
    'GCViT': Layout(r'^stem\.conv1\.', gcvit),
    'PoolFormer': Layout(r'^stem\.conv\.', poolformer),
    'TNT': Layout(r'^pixel_pos$', tnt),
}
