"""Layouts of Hugging Face transformers, https://github.com/huggingface/transformers (Apache-2.0).

Models with a head nest the network under its name (`swin.`), backbones and bare models do not. Queries, keys and values
are three layers there and one with the authors.
"""

import re

from denseformer.checkpoints.keys import StateDict, drop, join, rename
from denseformer.checkpoints.layouts.layout import Layout, counted_from_1

NEST = r'^(?:swin|swinv2|convnext|focalnet|nat|dinat|cvt|poolformer|van)\.'
BLOCK = (
    (r'\.layernorm_before\.', '.norm1.'),
    (r'\.layernorm_after\.', '.norm2.'),
    (r'\.attention\.(?:output\.dense|o_proj)\.', '.attn.proj.'),
    (r'\.attention\.q_proj\.', '.attn.query.'),
    (r'\.attention\.k_proj\.', '.attn.key.'),
    (r'\.attention\.v_proj\.', '.attn.value.'),
    (r'\.attention\.relative_position_bias\.', '.attn.'),
    (r'\.attention\.self\.(query|key|value)\.', r'.attn.\1.'),
    (r'\.attention\.self\.', '.attn.'),
    (r'\.intermediate\.dense\.', '.mlp.fc1.'),
    (r'\.output\.dense\.', '.mlp.fc2.'),
)
"""The names that blocks of Swin, Swin V2, NAT, DiNAT and CvT share, in files and, where they differ, in memory."""


def swin(state_dict: StateDict) -> StateDict:
    renamed = rename(
        state_dict,
        (NEST, ''),
        (r'^embeddings\.patch_embeddings\.projection\.', 'patch_embed.proj.'),
        (r'^embeddings\.norm\.', 'patch_embed.norm.'),
        (r'^encoder\.layers\.', 'layers.'),
        (r'^layernorm\.', 'norm.'),
        (r'^classifier\.', 'head.'),
        (r'^hidden_states_norms\.stage(\d)\.', lambda match: f'norm{int(match[1]) - 1}.'),
        *BLOCK,
    )
    return join(drop(renamed, r'^embeddings\.mask_token$', r'^pooler\.'), ('query', 'key', 'value'), 'qkv')


def swinv2(state_dict: StateDict) -> StateDict:
    """Keys have no bias; the authors keep the biases of queries and values beside the joint weight."""
    named = rename(
        state_dict,
        (r'\.attention\.self\.query\.bias$', '.attention.self.q_bias'),
        (r'\.attention\.self\.value\.bias$', '.attention.self.v_bias'),
        (r'\.continuous_position_bias_mlp\.', '.cpb_mlp.'),
    )
    return swin(named)


def convnext(state_dict: StateDict) -> StateDict:
    """ConvNeXt, and DINOv3's, whose names are others."""
    return rename(
        state_dict,
        (NEST, ''),
        (r'^(?:model\.)?stages\.(\d)\.downsample_layers\.', r'downsample_layers.\1.'),
        (r'^(?:model\.)?stages\.(\d)\.layers\.', r'stages.\1.'),
        (r'\.depthwise_conv\.', '.dwconv.'),
        (r'\.pointwise_conv([12])\.', r'.pwconv\1.'),
        (r'(^|\.)layer_norm\.', r'\1norm.'),
        (r'^embeddings\.patch_embeddings\.', 'downsample_layers.0.0.'),
        (r'^embeddings\.layernorm\.', 'downsample_layers.0.1.'),
        (r'^encoder\.stages\.(\d)\.downsampling_layer\.', r'downsample_layers.\1.'),
        (r'^encoder\.stages\.(\d)\.layers\.', r'stages.\1.'),
        (r'\.layernorm\.', '.norm.'),
        (r'\.layer_scale_parameter$', '.gamma'),
        (r'^layernorm\.', 'norm.'),
        (r'^classifier\.', 'head.'),
        (r'^hidden_states_norms\.stage(\d)\.', lambda match: f'norm{int(match[1]) - 1}.'),
    )


def focalnet(state_dict: StateDict) -> StateDict:
    renamed = rename(
        state_dict,
        (NEST, ''),
        (r'^embeddings\.patch_embeddings\.projection\.', 'patch_embed.proj.'),
        (r'^embeddings\.norm\.', 'patch_embed.norm.'),
        (r'^encoder\.stages\.(\d)\.layers\.', r'layers.\1.blocks.'),
        (r'^encoder\.stages\.(\d)\.downsample\.projection\.', r'layers.\1.downsample.proj.'),
        (r'^encoder\.stages\.(\d)\.downsample\.', r'layers.\1.downsample.'),
        (r'\.modulation\.projection_in\.', '.modulation.f.'),
        (r'\.modulation\.projection_context\.', '.modulation.h.'),
        (r'\.modulation\.projection_out\.', '.modulation.proj.'),
        (r'\.modulation\.layernorm\.', '.modulation.ln.'),
        (r'^layernorm\.', 'norm.'),
        (r'^classifier\.', 'head.'),
    )
    return drop(renamed, r'^embeddings\.mask_token$')


def neighborhood(state_dict: StateDict) -> StateDict:
    renamed = rename(
        state_dict,
        (NEST, ''),
        (r'^embeddings\.patch_embeddings\.projection\.', 'patch_embed.proj.'),
        (r'^embeddings\.norm\.', 'patch_embed.norm.'),
        (r'^encoder\.levels\.(\d)\.layers\.', r'levels.\1.blocks.'),
        (r'^encoder\.levels\.', 'levels.'),
        (r'^layernorm\.', 'norm.'),
        (r'^classifier\.', 'head.'),
        (r'^hidden_states_norms\.stage(\d)\.', lambda match: f'norm{int(match[1]) - 1}.'),
        *BLOCK,
    )
    gains = {key: renamed.pop(key) for key in list(renamed) if key.endswith('.layer_scale_parameters')}
    for key, value in gains.items():
        for i in (0, 1):
            renamed[re.sub('layer_scale_parameters$', f'gamma{i + 1}', key)] = value[i]
    return join(renamed, ('query', 'key', 'value'), 'qkv')


def cvt(state_dict: StateDict) -> StateDict:
    return rename(
        state_dict,
        (NEST, ''),
        (r'^encoder\.stages\.(\d)\.', r'stage\1.'),
        (r'\.embedding\.convolution_embeddings\.projection\.', '.patch_embed.proj.'),
        (r'\.embedding\.convolution_embeddings\.normalization\.', '.patch_embed.norm.'),
        (r'^(stage\d)\.layers\.', r'\1.blocks.'),
        (r'\.attention\.attention\.convolution_projection_([qkv])[a-z]+\.', r'.attn.conv_proj_\1.'),
        (r'\.convolution_projection\.convolution\.', '.conv.'),
        (r'\.convolution_projection\.normalization\.', '.bn.'),
        (r'\.attention\.attention\.projection_([qkv])[a-z]+\.', r'.attn.proj_\1.'),
        *BLOCK,
        (r'^layernorm\.', 'norm.'),
        (r'^classifier\.', 'head.'),
    )


def poolformer(state_dict: StateDict) -> StateDict:
    """The authors number stages and the embeddings between them through, from 0 to 6."""
    return rename(
        state_dict,
        (NEST, ''),
        (r'^encoder\.patch_embeddings\.0\.projection\.', 'patch_embed.proj.'),
        (r'^encoder\.patch_embeddings\.(\d)\.projection\.', lambda match: f'network.{2 * int(match[1]) - 1}.proj.'),
        (r'^encoder\.block\.(\d)\.', lambda match: f'network.{2 * int(match[1])}.'),
        (r'\.before_norm\.', '.norm1.'),
        (r'\.after_norm\.', '.norm2.'),
        (r'\.output\.conv([12])\.', r'.mlp.fc\1.'),
        (r'^classifier\.', 'head.'),
    )


def van(state_dict: StateDict) -> StateDict:
    """The norm of its classifier, which the authors do not have, is left out."""
    return rename(
        drop(state_dict, r'^(van\.)?layernorm\.'),
        (NEST, ''),
        (r'^encoder\.stages\.(\d)\.embeddings\.', counted_from_1('patch_embed')),
        (r'^encoder\.stages\.(\d)\.layers\.', counted_from_1('block')),
        (r'^encoder\.stages\.(\d)\.normalization\.', counted_from_1('norm')),
        (r'^(patch_embed\d)\.convolution\.', r'\1.proj.'),
        (r'^(patch_embed\d)\.normalization\.', r'\1.norm.'),
        (r'\.pre_normomalization\.', '.norm1.'),  # spelled so there
        (r'\.post_normalization\.', '.norm2.'),
        (r'\.attention\.pre_projection\.conv\.', '.attn.proj_1.'),
        (r'\.attention\.post_projection\.', '.attn.proj_2.'),
        (r'\.attention\.attention_layer\.attention\.', '.attn.spatial_gating_unit.'),
        (r'\.spatial_gating_unit\.depth_wise\.', '.spatial_gating_unit.conv0.'),
        (r'\.spatial_gating_unit\.depth_wise_dilated\.', '.spatial_gating_unit.conv_spatial.'),
        (r'\.spatial_gating_unit\.point_wise\.', '.spatial_gating_unit.conv1.'),
        (r'\.attention_scaling\.weight$', '.layer_scale_1'),
        (r'\.mlp_scaling\.weight$', '.layer_scale_2'),
        (r'\.mlp\.in_dense\.', '.mlp.fc1.'),
        (r'\.mlp\.depth_wise\.', '.mlp.dwconv.dwconv.'),
        (r'\.mlp\.out_dense\.', '.mlp.fc2.'),
        (r'^classifier\.', 'head.'),
    )


MIT_IN_MEMORY = (
    (r'^stages\.(\d)\.(patch_embeddings|layer_norm)\.', r'\2.\1.'),
    (r'^stages\.(\d)\.blocks\.', r'block.\1.'),
    (r'\.layernorm_before\.', '.layer_norm_1.'),
    (r'\.layernorm_after\.', '.layer_norm_2.'),
    (r'\.attention\.o_proj\.', '.attention.output.dense.'),
    (r'\.attention\.q_proj\.', '.attention.self.query.'),
    (r'\.attention\.k_proj\.', '.attention.self.key.'),
    (r'\.attention\.v_proj\.', '.attention.self.value.'),
    (r'\.sequence_reduction\.sequence_reduction\.', '.self.sr.'),
    (r'\.sequence_reduction\.layer_norm\.', '.self.layer_norm.'),
    (r'\.mlp\.fc([12])\.', r'.mlp.dense\1.'),
)
"""From the names that version 5 gives SegFormer's encoder in memory to those of the files."""


def mit(state_dict: StateDict) -> StateDict:
    renamed = rename(
        state_dict,
        (r'^(?:segformer\.)?(?:encoder\.)?', ''),
        *MIT_IN_MEMORY,
        (r'^patch_embeddings\.(\d)\.', counted_from_1('patch_embed')),
        (r'^block\.(\d)\.', counted_from_1('block')),
        (r'^layer_norm\.(\d)\.', counted_from_1('norm')),
        (r'\.layer_norm(?:_([12]))?\.', lambda match: f'.norm{match[1] or ""}.'),
        (r'\.attention\.output\.dense\.', '.attn.proj.'),
        (r'\.attention\.self\.query\.', '.attn.q.'),
        (r'\.attention\.self\.', '.attn.'),
        (r'\.mlp\.dense([12])\.', r'.mlp.fc\1.'),
        (r'^classifier\.', 'head.'),
    )
    return join(renamed, ('key', 'value'), 'kv')


PIXELS, QUERIES = r'^sem_seg_head\.pixel_decoder', r'^sem_seg_head\.predictor'
LAYERS = rf'{QUERIES}\.decoder\.layers\.(\d+)'
MASK2FORMER = (
    (r'^model\.pixel_level_module\.encoder\.', 'backbone.'),
    (r'^model\.pixel_level_module\.decoder\.', 'sem_seg_head.pixel_decoder.'),
    (r'^model\.transformer_module\.', 'sem_seg_head.predictor.'),
    (r'^class_predictor\.', 'sem_seg_head.predictor.class_embed.'),
    (rf'({PIXELS})\.level_embed$', r'\1.transformer.level_embed'),
    (rf'({PIXELS})\.input_projections\.', r'\1.input_proj.'),
    (rf'({PIXELS})\.encoder\.', r'\1.transformer.encoder.'),
    (rf'({PIXELS}.*)\.self_attn_layer_norm\.', r'\1.norm1.'),
    (rf'({PIXELS}.*)\.final_layer_norm\.', r'\1.norm2.'),
    (rf'({PIXELS}.*)\.fc([12])\.', r'\1.linear\2.'),
    (rf'({PIXELS})\.mask_projection\.', r'\1.mask_features.'),
    (rf'({PIXELS}\.(?:adapter|layer)_1)\.0\.', r'\1.'),
    (rf'({PIXELS}\.(?:adapter|layer)_1)\.1\.', r'\1.norm.'),
    (rf'({QUERIES})\.queries_embedder\.', r'\1.query_embed.'),
    (rf'({QUERIES})\.queries_features\.', r'\1.query_feat.'),
    (rf'({QUERIES})\.decoder\.layernorm\.', r'\1.decoder_norm.'),
    (rf'({QUERIES})\.decoder\.mask_predictor\.mask_embedder\.(\d)\.0\.', r'\1.mask_embed.layers.\2.'),
    (rf'{LAYERS}\.self_attn_layer_norm\.', r'sem_seg_head.predictor.transformer_self_attention_layers.\1.norm.'),
    (rf'{LAYERS}\.self_attn\.', r'sem_seg_head.predictor.transformer_self_attention_layers.\1.self_attn.'),
    (rf'{LAYERS}\.cross_attn_layer_norm\.', r'sem_seg_head.predictor.transformer_cross_attention_layers.\1.norm.'),
    (rf'{LAYERS}\.cross_attn\.', r'sem_seg_head.predictor.transformer_cross_attention_layers.\1.multihead_attn.'),
    (rf'{LAYERS}\.fc([12])\.', r'sem_seg_head.predictor.transformer_ffn_layers.\1.linear\2.'),
    (rf'{LAYERS}\.final_layer_norm\.', r'sem_seg_head.predictor.transformer_ffn_layers.\1.norm.'),
)
"""From the names of a whole Mask2Former's head to its authors' in Detectron2."""


def mask2former(state_dict: StateDict) -> StateDict:
    """Names of a model with Swin, as all published ones are."""
    renamed = rename(state_dict, *MASK2FORMER)
    backbone = {key.removeprefix('backbone.'): value for key, value in renamed.items() if key.startswith('backbone.')}
    head = {key: value for key, value in renamed.items() if not key.startswith('backbone.')}
    joined = join(head, ('q_proj', 'k_proj', 'v_proj'), 'in_proj')
    return {
        **{f'backbone.{key}': value for key, value in swin(backbone).items()},
        **rename(joined, (r'\.in_proj\.(\w+)$', r'.in_proj_\1')),
    }


def segformer(state_dict: StateDict) -> StateDict:
    """The head's names are read by the head."""
    return rename(state_dict, (r'^segformer\.', 'backbone.segformer.'))


SYSTEM = Layout(r'^model\.pixel_level_module\.', mask2former)
SEGFORMER = Layout(r'^decode_head\.linear_c\.\d\.', segformer)
MARK = r'^(\w+\.)?embeddings\.'
LAYOUTS = {
    'Swin': Layout(MARK, swin),
    'SwinV2': Layout(MARK, swinv2),
    'ConvNeXt': Layout(rf'{MARK}|(model\.)?stages\.\d\.downsample_layers\.', convnext),
    'FocalNet': Layout(MARK, focalnet),
    'NAT': Layout(MARK, neighborhood),
    'DiNAT': Layout(MARK, neighborhood),
    'CvT': Layout(r'^(cvt\.)?encoder\.stages\.\d\.embedding\.', cvt),
    'PoolFormer': Layout(r'^(poolformer\.)?encoder\.patch_embeddings\.', poolformer),
    'VAN': Layout(r'^(van\.)?encoder\.stages\.\d\.embeddings\.', van),
    'MiT': Layout(r'^(segformer\.)?(encoder|stages\.\d)\.patch_embeddings\.', mit),
}
