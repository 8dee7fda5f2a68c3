"""OpenMMLab's layouts: Swin of mmsegmentation, mmdetection and mmpretrain, ConvNeXt of mmpretrain (all Apache-2.0).

Sources: https://github.com/open-mmlab/mmsegmentation, .../mmdetection, .../mmpretrain. The prefix `backbone.` is taken
off by whoever loads a backbone alone.
"""

from torch import Tensor

from denseformer.checkpoints.keys import StateDict, rename
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


LAYOUTS = {
    'Swin': Layout(r'^stages\.\d\.blocks\.\d+\.attn\.w_msa\.', swin),
    'ConvNeXt': Layout(r'^stages\.\d\.\d+\.depthwise_conv\.', convnext),
}
