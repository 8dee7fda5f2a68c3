"""OpenMMLab's layouts: Swin of mmsegmentation, mmdetection and mmpretrain, MiT of mmsegmentation, others of mmpretrain.

Sources: https://github.com/open-mmlab/mmsegmentation, .../mmdetection, .../mmpretrain (all Apache-2.0). The prefix
`backbone.` is taken off by whoever loads a backbone alone. PoolFormer has its authors' names there; plain networks read
theirs themselves.
"""

from torch import Tensor

from denseformer.checkpoints.keys import Rule, StateDict, linear_from_pointwise, rename
from denseformer.checkpoints.layouts.layout import Layout, counted_from_1

FFN: tuple[Rule, ...] = ((r'\.ffn\.layers\.0\.0\.', '.mlp.fc1.'), (r'\.ffn\.layers\.1\.', '.mlp.fc2.'))


def swin(state_dict: StateDict) -> StateDict:
    renamed = rename(
        state_dict,
        (r'^patch_embed\.projection\.', 'patch_embed.proj.'),
        (r'^stages\.', 'layers.'),
        (r'\.attn\.w_msa\.', '.attn.'),
        *FFN,
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


def swinv2(state_dict: StateDict) -> StateDict:
    """Downsampling stands in the stage that it opens, and its norm behind it, where there are no pixels to order."""
    renamed = rename(
        state_dict,
        (r'^patch_embed\.projection\.', 'patch_embed.proj.'),
        (r'^stages\.(\d)\.downsample\.', lambda match: f'layers.{int(match[1]) - 1}.downsample.'),
        (r'^stages\.', 'layers.'),
        (r'\.attn\.w_msa\.', '.attn.'),
        (r'^norm(\d)\.', r'out_norms.\1.'),  # their authors published no dense code
        *FFN,
    )
    return {key: pixels_first(value) if '.downsample.reduction.' in key else value for key, value in renamed.items()}


def davit(state_dict: StateDict) -> StateDict:
    return rename(
        state_dict,
        (r'^patch_embed\.projection\.', 'patch_embeds.0.proj.'),
        (r'^patch_embed\.norm\.', 'patch_embeds.0.norm.'),
        (r'^stages\.(\d)\.downsample\.projection\.', lambda match: f'patch_embeds.{int(match[1]) + 1}.proj.'),
        (r'^stages\.(\d)\.downsample\.norm\.', lambda match: f'patch_embeds.{int(match[1]) + 1}.norm.'),
        (r'^stages\.(\d)\.blocks\.', r'main_blocks.\1.'),
        (r'\.spatial_block\.', '.0.'),
        (r'\.channel_block\.', '.1.'),
        (r'\.cpe([12])\.proj\.', lambda match: f'.cpe.{int(match[1]) - 1}.proj.'),
        (r'\.attn\.w_msa\.', '.attn.'),
        *FFN,
    )


def hornet(state_dict: StateDict) -> StateDict:
    return rename(state_dict, (r'\.gnconv\.projs\.', '.gnconv.pws.'), (r'\.gamma([12])\.weight$', r'.gamma\1'))


def van(state_dict: StateDict) -> StateDict:
    return rename(
        state_dict,
        (r'^patch_embed(\d)\.projection\.', r'patch_embed\1.proj.'),
        (r'^blocks(\d)\.', r'block\1.'),
        (r'\.DW_conv\.', '.conv0.'),
        (r'\.DW_D_conv\.', '.conv_spatial.'),
        (r'\.mlp\.dwconv\.', '.mlp.dwconv.dwconv.'),
    )


def convnext(state_dict: StateDict) -> StateDict:
    return rename(state_dict, (r'\.depthwise_conv\.', '.dwconv.'), (r'\.pointwise_conv([12])\.', r'.pwconv\1.'))


def mit(state_dict: StateDict) -> StateDict:
    """MLPs are of 1 x 1 convolutions there, and queries, keys and values one tensor."""
    renamed = rename(
        state_dict,
        (r'^layers\.(\d)\.0\.', counted_from_1('patch_embed')),
        (r'^layers\.(\d)\.1\.', counted_from_1('block')),
        (r'^layers\.(\d)\.2\.', counted_from_1('norm')),
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


def sam(state_dict: StateDict) -> StateDict:
    return rename(state_dict, (r'^channel_reduction\.', 'neck.'))


def beit_segmentor(state_dict: StateDict) -> StateDict:
    """BEiT's neck lies in the backbone in its authors' segmentor, and has other names in mmsegmentation's."""
    return rename(
        state_dict,
        (r'^backbone\.fpn(\d)\.', r'neck.fpn\1.'),
        (r'^neck\.upsample_4x\.', 'neck.fpn1.'),
        (r'^neck\.upsample_2x\.', 'neck.fpn2.'),
    )


def vitdet(state_dict: StateDict) -> StateDict:
    """The heads' norms are named by their class there; the pyramid reads its names itself."""
    return rename(state_dict, (r'^(roi_head\..*)\.norm_layer\.', r'\1.ln.'))


VITDET = Layout(r'^roi_head\.mask_head\.(\d\.)?convs\.0\.norm_layer\.', vitdet)
BEIT_SEGMENTOR = Layout(r'^(backbone\.blocks\.0\.attn\.q_bias$|neck\.upsample_4x\.)', beit_segmentor)
LAYOUTS = {
    'Swin': Layout(r'^stages\.\d\.blocks\.\d+\.attn\.w_msa\.', swin),
    'SwinV2': Layout(r'^stages\.\d\.blocks\.\d+\.attn\.w_msa\.', swinv2),
    'DaViT': Layout(r'^stages\.\d\.blocks\.\d+\.spatial_block\.attn\.w_msa\.', davit),
    'HorNet': Layout(r'^stages\.\d\.\d+\.gnconv\.projs\.', hornet),
    'VAN': Layout(r'^blocks1\.', van),
    'ConvNeXt': Layout(r'^stages\.\d\.\d+\.depthwise_conv\.', convnext),
    'MiT': Layout(r'^layers\.\d\.0\.projection\.', mit),
    'SAM': Layout(r'^channel_reduction\.', sam),
}
