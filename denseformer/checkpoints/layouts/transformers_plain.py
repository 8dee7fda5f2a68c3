"""Layouts of plain vision transformers in Hugging Face transformers, https://github.com/huggingface/transformers.

Names of files and, where they differ, of models in memory; EoMT's files have them too. Queries, keys and values are
three layers there.
"""

from collections import Counter
from itertools import accumulate
from re import Match

from denseformer.checkpoints.keys import Rule, StateDict, drop, join, rename
from denseformer.checkpoints.layouts.layout import Layout

STEM: tuple[Rule, ...] = (
    (r'^(?:vit|deit|beit|dinov2|dinov2_with_registers|dinov3_vit|hiera|backbone|model)\.', ''),
    (r'^(?:embeddings|patch_embed)\.patch_embeddings\.(?:projection\.)?', 'patch_embed.proj.'),
    (r'^embeddings\.position_embeddings$', 'pos_embed'),
    (r'^embeddings\.distillation_token$', 'dist_token'),
    (r'^(?:embeddings|patch_embed)\.(cls_token|mask_token|register_tokens)$', r'\1'),
)
BLOCK: tuple[Rule, ...] = (
    (r'^(?:encoder\.|model\.)?layers?\.(\d+)\.', r'blocks.\1.'),
    (r'\.attention\.attention\.(query|key|value)\.', r'.attn.\1.'),
    (r'\.attention\.attention\.relative_position_bias\.', '.attn.'),
    (r'\.attention\.(?:output\.dense|o_proj)\.', '.attn.proj.'),
    (r'\.attention\.q_proj\.', '.attn.query.'),
    (r'\.attention\.k_proj\.', '.attn.key.'),
    (r'\.attention\.v_proj\.', '.attn.value.'),
    (r'\.intermediate\.dense\.', '.mlp.fc1.'),
    (r'^(blocks\.\d+)\.output\.dense\.', r'\1.mlp.fc2.'),
    (r'\.layernorm_before\.', '.norm1.'),
    (r'\.layernorm_after\.', '.norm2.'),
    (r'\.lambda_([12])$', r'.gamma_\1'),
    (r'\.layer_scale([12])\.lambda1$', r'.ls\1.gamma'),
    (r'^(blocks\.\d+)\.relative_position_bias\.', r'\1.attn.'),
    (r'^(?:encoder\.relative|shared)_position_bias\.', 'rel_pos_bias.'),
    (r'^pooler\.layernorm\.', 'fc_norm.'),
    (r'^(?:\w+\.)?layernorm\.', 'norm.'),
    (r'^(?:cls_|distillation_)?classifier\.', 'head.'),
)


def plain(state_dict: StateDict) -> StateDict:
    """ViT, DeiT and BEiT, whose keys have no bias."""
    renamed = rename(drop(state_dict, r'(^|\.)pooler\.dense\.'), *STEM, *BLOCK)
    if not any(key.endswith('.attn.key.bias') for key in renamed):
        renamed = rename(renamed, (r'\.attn\.query\.bias$', '.attn.q_bias'), (r'\.attn\.value\.bias$', '.attn.v_bias'))
    return join(renamed, ('query', 'key', 'value'), 'qkv')


def dinov2(state_dict: StateDict) -> StateDict:
    """Its gated MLPs have one layer in files and two in memory."""
    joined = join(plain(state_dict), ('gate_proj', 'up_proj'), 'w12')
    return rename(joined, (r'\.mlp\.weights_in\.', '.mlp.w12.'), (r'\.mlp\.(?:weights_out|down_proj)\.', '.mlp.w3.'))


def tips(state_dict: StateDict) -> StateDict:
    """The image encoder, alone or beside the text's: files have the authors' names but for MLPs, memory DINOv2's."""
    return rename(
        dinov2(rename(drop(state_dict, r'^text_(?:encoder|model)\.', r'^temperature$'), (r'^vision_\w+\.', ''))),
        (r'\.mlp\.c_fc\.', '.mlp.fc1.'),
        (r'\.mlp\.c_proj\.', '.mlp.fc2.'),
    )


def dinov3(state_dict: StateDict) -> StateDict:
    gated = any('.mlp.gate_proj.' in key for key in state_dict)
    up, down = ('w2', 'w3') if gated else ('fc1', 'fc2')
    return rename(
        plain(state_dict),
        (r'\.mlp\.gate_proj\.', '.mlp.w1.'),
        (r'\.mlp\.up_proj\.', f'.mlp.{up}.'),
        (r'\.mlp\.down_proj\.', f'.mlp.{down}.'),
    )


def hiera(state_dict: StateDict) -> StateDict:
    """Blocks are numbered in their stages there, through by the authors."""
    renamed = rename(drop(state_dict, r'(^|\.)pooler\.', r'^decoder\.', r'^multiscale_fusion\.'), *STEM, *BLOCK)
    stages = [tuple(key.split('.')[2:5:2]) for key in renamed if key.startswith('encoder.stages.')]
    depths = Counter(stage for stage, _ in set(stages))
    starts = [0, *accumulate(depths[stage] for stage in sorted(depths))]

    def numbered(match: Match) -> str:
        return f'blocks.{starts[int(match[1])] + int(match[2])}.'

    return rename(renamed, (r'^encoder\.stages\.(\d)\.layers\.(\d+)\.', numbered))


def sam(state_dict: StateDict) -> StateDict:
    """The image encoder, alone or in the whole model."""
    return rename(
        drop(state_dict, r'^(shared_image_embedding|prompt_encoder|mask_decoder)\.'),
        (r'^vision_encoder\.', ''),
        (r'^patch_embed\.projection\.', 'patch_embed.proj.'),
        (r'^neck\.conv([12])\.', lambda match: f'neck.{2 * int(match[1]) - 2}.'),
        (r'^neck\.layer_norm([12])\.', lambda match: f'neck.{2 * int(match[1]) - 1}.'),
        (r'^layers\.', 'blocks.'),
        (r'\.layer_norm([12])\.', r'.norm\1.'),
    )


def sam2(state_dict: StateDict) -> StateDict:
    """The encoder's names alone."""
    encoder = {
        key.removeprefix('vision_encoder.'): value
        for key, value in state_dict.items()
        if key.startswith(('vision_encoder.', 'backbone.', 'neck.'))
    }
    return rename(
        encoder,
        (r'^backbone\.', 'trunk.'),
        (r'^trunk\.patch_embed\.projection\.', 'trunk.patch_embed.proj.'),
        (r'^trunk\.(pos_embed(?:_window)?)$', r'\1'),
        (r'\.layer_norm([12])\.', r'.norm\1.'),
        (r'\.mlp\.proj_in\.', '.mlp.layers.0.'),
        (r'\.mlp\.proj_out\.', '.mlp.layers.1.'),
        (r'^neck\.convs\.(\d)\.', r'neck.convs.\1.conv.'),
    )


MARK = r'^(\w+\.)?embeddings\.'
LAYOUTS = {
    'ViT': Layout(MARK, plain),
    'DINOv2': Layout(MARK, dinov2),
    'TIPS': Layout(rf'{MARK}|vision_encoder\.', tips),
    'DINOv3': Layout(rf'{MARK}|(\w+\.)*(layer|blocks)\.\d+\.attention\.', dinov3),
    'Hiera': Layout(MARK, hiera),
    'SAM': Layout(r'^(vision_encoder\.)?layers\.\d+\.layer_norm1\.', sam),
    'SAM2': Layout(r'^(vision_encoder\.)?backbone\.blocks\.', sam2),
}
