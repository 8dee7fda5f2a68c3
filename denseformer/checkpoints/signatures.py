"""Recognizing a network by the names of its tensors alone, and the head, the package and the run around it.

`signatures.json` holds, for each network and each layout that people have of it, the names of its tensors with `#` for
every number, one set for each choice of options that names other tensors, and for each shipped config what it builds;
`python -m tools.docs.signatures` writes it. The names of networks in `stored_shapes` are read from there.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from denseformer.checkpoints.stored_shapes import stored_networks

TABLE = Path(__file__).with_name('signatures.json')
DESIGN_FREE = (
    *('drop_path_rate', 'with_cp', 'frozen_stages', 'norm_eval', 'init_cfg', 'pretrained', 'finetune', 'lora'),
    '_delete_',
)
"""Options of a network that change how it is trained, and neither its tensors nor what it computes afterwards."""
LEAST = 0.4
"""Share of names, in both sets, from which a network is worth building to compare shapes."""


@dataclass(frozen=True)
class Resemblance:
    """How much the names of a file are like those of one network in one layout: `share` of all names are in both.

    The share is that of the options which resemble most: the names of all options together are those of no network.
    """

    network: str
    layout: str
    share: float


@cache
def table() -> dict[str, Any]:
    return json.loads(TABLE.read_text())


def without_numbers(keys: Iterable[str]) -> set[str]:
    return {re.sub(r'\d+', '#', key) for key in keys}


@cache
def known_names() -> dict[str, dict[str, list[set[str]]]]:
    """Network -> layout -> the sets of names, with `#` for numbers; those of stored shapes come last."""
    built = {
        network: {layout: list(map(set, sets)) for layout, sets in layouts.items()}
        for network, layouts in table()['networks'].items()
        if network not in stored_networks()
    }
    stored = {
        network: {entry.layout: [without_numbers(shapes) for _, shapes in entry.variants]}
        for network, entry in stored_networks().items()
    }
    return built | stored


def resemblances(keys: Iterable[str]) -> list[Resemblance]:
    """Every network in every layout that shares a name with `keys`, the most alike first."""
    names = without_numbers(keys)
    found = [
        Resemblance(network, layout, max(len(names & known) / len(names | known) for known in sets))
        for network, layouts in known_names().items()
        for layout, sets in layouts.items()
    ]
    return sorted((one for one in found if one.share), key=lambda one: -one.share)


@dataclass(frozen=True)
class Head:
    """A head. classes: how many it tells apart; queries: of those with learned ones; package: whose names it has."""

    name: str
    package: str
    classes: int | None = None
    queries: int | None = None


def head_of(weights: Mapping[str, Tensor]) -> Head | None:
    """The head of a whole segmentor or detector, without a prefix before `backbone.`; None for a bare network."""

    def outputs(*patterns: str) -> int | None:
        for pattern in patterns:
            for key, value in weights.items():
                if re.fullmatch(pattern, key):
                    return len(value)
        return None

    def has(pattern: str) -> bool:
        return any(re.match(pattern, key) for key in weights)

    if has(r'sem_seg_head\.predictor\.'):
        classes = outputs(r'sem_seg_head\.predictor\.class_embed\.weight')
        queries = outputs(r'sem_seg_head\.predictor\.query_feat\.weight')
        return Head('Mask2Former', 'Detectron2', _less(classes, 1), queries)
    if has(r'roi_heads\.'):
        cascade = has(r'roi_heads\.box_predictor\.0\.')
        name = _rcnn(cascade=cascade, masks=has(r'roi_heads\.mask_head\.'))
        return Head(name, 'Detectron2', _less(outputs(r'roi_heads\.box_predictor\.(0\.)?cls_score\.weight'), 1))
    if has(r'(decode_head|panoptic_head)\.(transformer_decoder|cls_embed)\.'):
        part = 'decode_head' if has(r'decode_head\.') else 'panoptic_head'
        queries = outputs(rf'{part}\.query_feat\.weight')
        classes = _less(outputs(rf'{part}\.cls_embed\.weight'), 1)
        name = 'Mask2Former' if has(rf'{part}\.pixel_decoder\.encoder\.') else 'MaskFormer'
        return Head(name, 'mmsegmentation' if part == 'decode_head' else 'mmdetection', classes, queries)
    if has(r'(face_decoder\.mask_tokens|decode_head\.class_tokens)'):  # a token a class
        package = 'its authors' if has(r'face_decoder\.') else 'denseformer'
        return Head('FaceXFormer', package, outputs(r'face_decoder\.mask_tokens\.weight', r'decode_head\.class_tokens'))
    if has(r'decode_head\.'):
        classes = outputs(r'decode_head\.(\d\.)?(conv_seg|linear_pred|cls_seg)\.weight')
        classes = classes or _less(outputs(r'decode_head\.decoder\.layers\.0\.0\.predictor\.classify\.weight'), 1)
        name = next((name for name, pattern in DECODE_HEADS.items() if has(pattern)), 'a decode head of its own')
        return Head(name, 'mmsegmentation', classes)
    if has(r'roi_head\.bbox_head\.0\.inst_interactive_conv\.'):
        boxes = outputs(r'rpn_head\.init_proposal_bboxes\.weight')
        return Head('Sparse R-CNN', 'mmdetection', outputs(r'roi_head\.bbox_head\.0\.fc_cls\.weight'), boxes)
    if has(r'roi_head\.semantic_head\.'):
        return Head('HTC', 'mmdetection', _less(outputs(r'roi_head\.bbox_head\.0\.fc_cls\.weight'), 1))
    if has(r'roi_head\.'):
        cascade = has(r'roi_head\.bbox_head\.0\.')
        name = _rcnn(cascade=cascade, masks=has(r'roi_head\.mask_head\.'))
        return Head(name, 'mmdetection', _less(outputs(r'roi_head\.bbox_head\.(0\.)?fc_cls\.weight'), 1))
    if has(r'mask_head\.proposals\.'):
        return Head('FashionFormer', 'denseformer', outputs(r'mask_head\.proposals\.conv_seg\.weight'))
    if has(r'bbox_head\.'):
        name = next((name for name, pattern in DENSE_DETECTORS.items() if has(pattern)), 'a detector of its own')
        if name != 'RetinaNet':
            return Head(
                name,
                'mmdetection',
                outputs(
                    r'bbox_head\.(\w+_cls|conv_cls|fc_cls|multi_level_conv_cls|cls_branches|classes\.0\.2)(\.0)?\.weight'
                ),
            )
        boxes, scores = outputs(r'bbox_head\.retina_reg\.weight'), outputs(r'bbox_head\.retina_cls\.weight')
        return Head(name, 'mmdetection', scores * 4 // boxes if boxes and scores else None)
    return None


DECODE_HEADS = {
    'UPerNet': r'decode_head\.psp_modules\.',
    'Semantic FPN': r'decode_head\.scale_heads\.',
    'SegFormer': r'decode_head\.(linear_c\d|fusion_conv)\.',
    'kMaX-DeepLab': r'decode_head\.decoder\.layers\.\d\.\d\.predictor\.',
    'OCRNet': r'decode_head\.1\.',
    'LightHam': r'decode_head\.hamburger\.',
    'DeepLabV3+': r'decode_head\.c1_bottleneck\.',
    'DeepLabV3': r'decode_head\.aspp_modules\.',
    'PSPNet': r'decode_head\.psp',
    'FCN': r'decode_head\.convs\.',
}
DENSE_DETECTORS = {
    'RetinaNet': r'bbox_head\.retina_cls\.',
    'ATSS': r'bbox_head\.atss_cls\.',
    'GFL': r'bbox_head\.gfl_cls\.',
    'FCOS': r'bbox_head\.conv_centerness\.',
    'RTMDet-Ins': r'bbox_head\.rtm_kernel\.',
    'RTMDet': r'bbox_head\.rtm_cls\.',
    'YOLOX': r'bbox_head\.multi_level_conv_cls\.',
    'RT-DETR': r'input_proj\.\d+\.conv\.',
    'DDQ': r'bbox_head\.aux_cls_branches\.',
    'DINO': r'dn_query_generator\.',
    'Deformable DETR': r'decoder\.layers\.\d+\.cross_attn\.sampling_offsets\.',
    'DETR or a relative': r'bbox_head\.(cls_branches|fc_cls)\.',
}


def _rcnn(*, cascade: bool, masks: bool) -> str:
    kind = 'Mask R-CNN' if masks else 'R-CNN' if cascade else 'Faster R-CNN'
    return f'Cascade {kind}' if cascade else kind


def _less(number: int | None, by: int) -> int | None:
    return None if number is None else number - by


STATES = {
    'optimizer': 'optimizer',
    'optimizer_state_dict': 'optimizer',
    'optimizer_states': 'optimizer',
    'param_schedulers': 'schedulers',
    'lr_scheduler': 'schedulers',
    'lr_schedulers': 'schedulers',
    'scheduler': 'schedulers',
    'scaler': 'loss scaler',
    'amp': 'loss scaler',
    'ema_state_dict': 'averaged weights (EMA)',
    'model_ema': 'averaged weights (EMA)',
    'state_dict_ema': 'averaged weights (EMA)',
    'params_ema': 'averaged weights (EMA)',
    'ema': 'averaged weights (EMA)',
    'message_hub': 'logged history',
    'meta': 'meta data',
    'config': 'arguments of its run',
    'args': 'arguments of its run',
    'hyper_parameters': 'arguments of its run',
}
PROGRESS = (
    *('epoch', 'iter', 'global_step'),
    *('mmengine_version', 'mmcv_version', 'mmseg_version', 'mmdet_version', 'time'),
)
"""Keys that say how far a run was, and by which versions."""


def is_low_rank(key: str) -> bool:
    """Whether a name is that of a factor of a low-rank update (LoRA), ours or another package's."""
    return re.search(r'\blora_?(A|B|down|up|embedding_[AB]|magnitude_vector)\b|\blora\.(down|up)\b', key) is not None


def training_state(content: Mapping[str, Any], weights: Iterable[str]) -> dict[str, Any]:
    """Training state of a checkpoint, beside its weights: {'holds': kinds, 'epoch', 'iter', versions, 'classes'}."""
    meta = content['meta'] if isinstance(content.get('meta'), Mapping) else {}
    kinds = [STATES[key] for key in content if key in STATES]
    kinds += ['low-rank updates (LoRA)'] if any(map(is_low_rank, weights)) else []
    found: dict[str, Any] = {'holds': list(dict.fromkeys(kinds))}
    for key in PROGRESS:
        value = meta.get(key, content.get(key))
        if isinstance(value, (int, str)):
            found[key] = value
    data = meta.get('dataset_meta') if isinstance(meta.get('dataset_meta'), Mapping) else meta
    names = data.get('classes') or data.get('CLASSES')
    if isinstance(names, (list, tuple)):
        found['classes'] = list(names)
    return found
