"""OpenMMLab's layouts: Swin, MiT of mmsegmentation and ConvNeXt of mmpretrain (all Apache-2.0).

Sources: https://github.com/open-mmlab/mmsegmentation, .../mmdetection, .../mmpretrain; Swin is the same in all three.
The prefix `backbone.` is taken off by whoever loads a backbone alone.
"""

import re
from collections.abc import Callable

from torch import Tensor

from denseformer.checkpoints.keys import StateDict, linear_from_pointwise, rename
from denseformer.checkpoints.layouts.layout import Layout


def swin(state_dict: StateDict) -> StateDict:
    renamed = rename(
        state_dict,
        (r'^patch_embed\.projection\.', 'patch_embed.proj.'),
        (r'^stages\.', 'layers.'),
        (r'\.attn\.w_msa\.', '.attn.'),
        (r'\.ffn\.layers\.0\.0\.', '.mlp.fc1.'),
        (r'\.ffn\.layers\.1\.', '.mlp.fc2.'),
    )
    return {
        key: pixels_first(value) if '.downsample.norm.' in key or '.downsample.reduction.' in key else value
        for key, value in renamed.items()
    }


def pixels_first(weight: Tensor) -> Tensor:
    """(..., C * 4) of `nn.Unfold`, rows of 2 x 2 pixels below channels -> (..., 4 * C), columns first, as the authors.

    The four pixels of the authors' merging are (0, 0), (1, 0), (0, 1), (1, 1).
    """
    by_channel = weight.unflatten(-1, (-1, 2, 2))  # (..., C, row, column)
    return by_channel.movedim(-3, -1).transpose(-3, -2).flatten(-3)  # (..., column, row, C)


def convnext(state_dict: StateDict) -> StateDict:
    return rename(state_dict, (r'\.depthwise_conv\.', '.dwconv.'), (r'\.pointwise_conv([12])\.', r'.pwconv\1.'))


def mit(state_dict: StateDict) -> StateDict:
    """MLPs are of 1 x 1 convolutions there, and queries, keys and values one tensor."""

    def stage(name: str) -> Callable[[re.Match], str]:
        return lambda match: f'{name}{int(match[1]) + 1}.'

    renamed = rename(
        state_dict,
        (r'^layers\.(\d)\.0\.', stage('patch_embed')),
        (r'^layers\.(\d)\.1\.', stage('block')),
        (r'^layers\.(\d)\.2\.', stage('norm')),
        (r'^(patch_embed\d)\.projection\.', r'\1.proj.'),
        (r'\.attn\.attn\.out_proj\.', '.attn.proj.'),
        (r'\.ffn\.layers\.0\.', '.mlp.fc1.'),
        (r'\.ffn\.layers\.1\.', '.mlp.dwconv.dwconv.'),
        (r'\.ffn\.layers\.4\.', '.mlp.fc2.'),
    )
    for key in [key for key in renamed if '.attn.attn.in_proj_' in key]:
        value = renamed.pop(key)
        before, _, kind = key.partition('attn.in_proj_')
        split = value.shape[0] // 3
        renamed[f'{before}q.{kind}'], renamed[f'{before}kv.{kind}'] = value[:split], value[split:]
    return linear_from_pointwise(renamed, r'\.mlp\.fc[12]\.weight$')


LAYOUTS = {
    'Swin': Layout(r'^stages\.\d\.blocks\.\d+\.attn\.w_msa\.', swin),
    'ConvNeXt': Layout(r'^stages\.\d\.\d+\.depthwise_conv\.', convnext),
    'MiT': Layout(r'^layers\.\d\.0\.projection\.', mit),
}
