"""State-dict keys of kMaX-DeepLab's heads, from the authors' names below `sem_seg_head.` to ours.

Facts read off https://github.com/bytedance/kmax-deeplab (Apache-2.0).
"""

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from denseformer.checkpoints.keys import Rule, StateDict, rename
from denseformer.detection.mask2former.keys import things_first

PIXEL_DECODER: tuple[Rule, ...] = (
    (r'\._in_norms\.', '.in_norms.'),
    (r'\._stages\.(\d)\._blocks\.', r'.stages.\1.'),
    (r'\._resized_fuses\.(\d)\._conv_bn_low\.', r'.fusions.\1.coarse.1.'),
    (r'\._resized_fuses\.(\d)\._conv_bn_high\.', r'.fusions.\1.fine.1.'),
    (r'\._conv1_bn_act\.', '.reduce.'),
    (r'\._conv2_bn_act\.', '.mix.'),
    (r'\._conv3_bn\.', '.expand.'),
    (r'\._shortcut\.', '.shortcut.'),
    (r'\._attention\._(height|width)_axis\.', r'.mix.0.\1.'),
    (r'\.qkv_transform\.conv\.', '.qkv.'),
    (r'\._(query|key|value)_rpe\._embeddings\.weight$', r'.\1_positions'),
    (r'\._batch_norm_qkv\.', '.norm_qkv.'),
    (r'\._batch_norm_similarity\.', '.norm_similarity.'),
    (r'\._batch_norm_retrieved_output\.', '.norm_out.'),
)
PREDICTOR: tuple[Rule, ...] = (
    (r'\._predcitor\.', '.predictor.'),
    (r'\._pixel_space_head_conv([01])bnact\.', r'.pixel.\1.'),
    (r'\._pixel_space_head_last_convbn\.', '.pixel.2.'),
    (r'\._transformer_mask_head\.', '.kernel.'),
    (r'\._transformer_class_head\.conv\.', '.classify.'),
    (r'\._pixel_space_mask_batch_norm\.', '.norm.'),
)
DECODER: tuple[Rule, ...] = (
    (r'^predictor\._cluster_centers\.weight$', 'decoder.queries'),
    (r'^predictor\._class_embedding_projection\.', 'decoder.class_in.'),
    (r'^predictor\._mask_embedding_projection\.', 'decoder.mask_in.'),
    (r'^predictor\._auxiliary_semantic_predictor\.', 'semantic.'),
    (r'^predictor\.', 'decoder.'),
    (r'\._query_self_attention\._batch_norm_similarity\.', '.norm_similarity.'),
    (r'\._query_self_attention\._batch_norm_retrieved_value\.', '.norm_value.'),
    (r'\._kmeans_query_batch_norm_retrieved_value\.', '.cluster_norm.'),
    (r'\._kmeans_query_conv3_bn\.', '.cluster_proj.'),
    (r'\._query_conv1_bn_act\.', '.query_in.'),
    (r'\._pixel_conv1_bn_act\.', '.pixel_in.'),
    (r'\._query_qkv_conv_bn\.', '.qkv.'),
    (r'\._pixel_v_conv_bn\.', '.pixel_value.'),
    (r'\._query_conv3_bn\.', '.proj.'),
    (r'\._query_ffn_conv1_bn_act\.', '.fc1.'),
    (r'\._query_ffn_conv2_bn\.', '.fc2.'),
)
SEMANTIC: tuple[Rule, ...] = (
    (r'^semantic\._aspp\._aspp_conv0\.', 'semantic.point.'),
    (r'^semantic\._aspp\._aspp_conv(\d)\.conv\.', lambda match: f'semantic.pyramid.{int(match[1]) - 1}.0.'),
    (r'^semantic\._aspp\._aspp_conv(\d)\.norm\.', lambda match: f'semantic.pyramid.{int(match[1]) - 1}.1.'),
    (r'^semantic\._aspp\._aspp_pool\.', 'semantic.pooled.'),
    (r'^semantic\._aspp\._proj_conv_bn_act\.', 'semantic.proj.'),
    (r'^semantic\._low_level_projection_os8\.', 'semantic.lateral.0.'),
    (r'^semantic\._low_level_projection_os4\.', 'semantic.lateral.1.'),
    (r'^semantic\._low_level_fusion_os8_conv(\d)_bn_act\.', r'semantic.joined.0.\1.'),
    (r'^semantic\._low_level_fusion_os4_conv(\d)_bn_act\.', r'semantic.joined.1.\1.'),
    (r'^semantic\.conv_block_(\d)\.', r'semantic.head.\1.'),
    (r'^semantic\.final_conv\.conv\.', 'semantic.classify.'),
    (r'^semantic\.2\.conv\.', 'semantic.2.'),
)


CLASSIFIERS = re.compile(r'\.classify\.|^semantic\.2\.')


def remap_official_keys(
    state_dict: StateDict, layers: Sequence[int], num_classes: int = 0, num_stuff: int = 0
) -> StateDict:
    """A head's `state_dict`, in our names or in the authors', in ours, and with things before stuff.

    Args:
        layers: of the decoder at each map; the authors number them through.
        num_classes, num_stuff: of the head; without both kinds of classes, their order stays as it is.

    Raises ValueError for the authors' names where it is not known how they mix that many things and stuff.
    """
    if not any(key.startswith('predictor.') for key in state_dict):
        return state_dict
    starts = [0, *accumulate(layers)]

    def place(match: re.Match) -> str:
        number = int(match[1])
        level = max(i for i, start in enumerate(starts) if start <= number)
        return f'.layers.{level}.{number - starts[level]}.'

    rules: tuple[Any, ...] = (*DECODER, *PIXEL_DECODER, *PREDICTOR, *SEMANTIC)
    renamed = rename(state_dict, *rules, (r'\._kmax_transformer_layers\.(\d+)\.', place))
    rows = {key: value for key, value in renamed.items() if CLASSIFIERS.search(key)}
    if 0 < num_stuff < num_classes and all(len(value) in (num_classes, num_classes + 1) for value in rows.values()):
        order = [*things_first(num_classes, num_stuff), num_classes]  # the last one is nothing
        renamed |= {key: value[order[: len(value)]] for key, value in rows.items()}
    return renamed
