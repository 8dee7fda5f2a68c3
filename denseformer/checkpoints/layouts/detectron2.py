"""Detectron2's layout of whole detectors to mmdetection's, https://github.com/facebookresearch/detectron2 (Apache-2.0).

Faster, Mask and Cascade R-CNN and RetinaNet on a feature pyramid, or on ViTDet's, whose heads have LayerNorm. What lies
in `backbone.bottom_up.` keeps its names: of Swin they are its authors'. ResNet's become those of mmdetection's, whose
`style` has to be 'caffe' for the weights of the zoo.
Mask2Former's heads are read where they are built (`detection/mask2former/keys.py`).
"""

import re

from torch import Tensor

from denseformer.checkpoints.keys import Rule, StateDict, rename
from denseformer.checkpoints.layouts.layout import Layout


def less(by: int, pattern: str) -> Rule:
    """A rule that writes `pattern`, with `{}` for a number, for what is matched, its number smaller `by` that much."""
    theirs, ours = pattern.split(' -> ')
    return theirs.replace('{}', r'(\d+)'), lambda match: ours.format(int(match[1]) - by)


RESNET: tuple[Rule, ...] = (
    (r'^backbone\.stem\.conv1\.norm\.', 'backbone.bn1.'),
    (r'^backbone\.stem\.conv1\.', 'backbone.conv1.'),
    less(1, r'^backbone\.res{}\. -> backbone.layer{}.'),
    (r'^(backbone\.layer\d\.\d+)\.conv(\d)\.norm\.', r'\1.bn\2.'),
    (r'^(backbone\.layer\d\.\d+)\.shortcut\.norm\.', r'\1.downsample.1.'),
    (r'^(backbone\.layer\d\.\d+)\.shortcut\.', r'\1.downsample.0.'),
)
RPN: tuple[Rule, ...] = (
    (r'^proposal_generator\.rpn_head\.conv\.conv(\d)\.', r'rpn_head.rpn_conv.\1.conv.'),
    (r'^proposal_generator\.rpn_head\.conv\.(conv\.)?', 'rpn_head.rpn_conv.'),
    (r'^proposal_generator\.rpn_head\.objectness_logits\.', 'rpn_head.rpn_cls.'),
    (r'^proposal_generator\.rpn_head\.anchor_deltas\.', 'rpn_head.rpn_reg.'),
)
HEADS: tuple[Rule, ...] = (
    (
        r'^roi_heads\.box_head\.(\d\.)?conv(\d)\.(norm\.)?',
        lambda match: (
            f'roi_head.bbox_head.{match[1] or ""}shared_convs.{int(match[2]) - 1}.{"ln" if match[3] else "conv"}.'
        ),
    ),
    less(1, r'^roi_heads\.box_head\.fc{}\. -> roi_head.bbox_head.shared_fcs.{}.'),
    (r'^roi_heads\.box_predictor\.cls_score\.', 'roi_head.bbox_head.fc_cls.'),
    (r'^roi_heads\.box_predictor\.bbox_pred\.', 'roi_head.bbox_head.fc_reg.'),
    (
        r'^roi_heads\.box_head\.(\d)\.fc(\d)\.',
        lambda match: f'roi_head.bbox_head.{match[1]}.shared_fcs.{int(match[2]) - 1}.',
    ),
    (r'^roi_heads\.box_predictor\.(\d)\.cls_score\.', r'roi_head.bbox_head.\1.fc_cls.'),
    (r'^roi_heads\.box_predictor\.(\d)\.bbox_pred\.', r'roi_head.bbox_head.\1.fc_reg.'),
    less(1, r'^roi_heads\.mask_head\.mask_fcn{}\.norm\. -> roi_head.mask_head.convs.{}.ln.'),
    less(1, r'^roi_heads\.mask_head\.mask_fcn{}\. -> roi_head.mask_head.convs.{}.conv.'),
    (r'^roi_heads\.mask_head\.deconv\.', 'roi_head.mask_head.upsample.'),
    (r'^roi_heads\.mask_head\.predictor\.', 'roi_head.mask_head.conv_logits.'),
)
DENSE_HEAD: tuple[Rule, ...] = (
    (r'^head\.cls_subnet\.(\d)\.', lambda match: f'bbox_head.cls_convs.{int(match[1]) // 2}.conv.'),
    (r'^head\.bbox_subnet\.(\d)\.', lambda match: f'bbox_head.reg_convs.{int(match[1]) // 2}.conv.'),
    (r'^head\.cls_score\.', 'bbox_head.retina_cls.'),
    (r'^head\.bbox_pred\.', 'bbox_head.retina_reg.'),
)
SIZES, RATIOS = 3, 3
"""How many sizes and ratios RetinaNet's anchors at a place have."""


def pyramid(lowest: int) -> tuple[Rule, ...]:
    """The rules of a feature pyramid whose lowest level has the stride 2 ** lowest."""
    return (
        less(lowest, r'^backbone\.fpn_lateral{}\. -> neck.lateral_convs.{}.conv.'),
        less(lowest, r'^backbone\.fpn_output{}\. -> neck.fpn_convs.{}.conv.'),
        less(lowest, r'^backbone\.top_block\.p{}\. -> neck.fpn_convs.{}.conv.'),
    )


def detector(state_dict: StateDict) -> StateDict:
    """A cascade has as many mask heads in mmdetection as stages, and one in Detectron2, which all stages take."""
    two_stages = any(key.startswith('proposal_generator.') for key in state_dict)
    rules = (*pyramid(2), *RPN, *HEADS) if two_stages else (*pyramid(3), *DENSE_HEAD)
    places = (r'^backbone\.bottom_up\.', 'backbone.'), (r'^backbone\.simfp_', 'neck.simfp_')
    renamed = rename(state_dict, *places, *RESNET, *rules)
    renamed |= {
        key: ratios_first(key, value)
        for key, value in renamed.items()
        if key.startswith(('bbox_head.retina_cls.', 'bbox_head.retina_reg.'))
    }
    stages = {match[1] for key in renamed if (match := re.match(r'roi_head\.bbox_head\.(\d)\.', key))}
    masks = [key for key in renamed if key.startswith('roi_head.mask_head.')] if stages else []
    for key in masks:
        value, part = renamed.pop(key), key.removeprefix('roi_head.mask_head.')
        renamed |= {f'roi_head.mask_head.{stage}.{part}': value for stage in sorted(stages)}
    return {key: value for key, value in renamed.items() if not key.startswith(('pixel_mean', 'pixel_std', 'anchor_'))}


def ratios_first(key: str, value: Tensor) -> Tensor:
    """Outputs of RetinaNet's anchors, of one size after the other, to mmdetection's order: by ratio, then by size.

    value: (SIZES * RATIOS * outputs, ...) -> the same. Raises ValueError for another number of anchors, where it shows.
    """
    if len(value) % (SIZES * RATIOS):
        raise ValueError(f'{key} has {len(value)} outputs: only RetinaNets of {SIZES} x {RATIOS} anchors are read.')
    return value.unflatten(0, (SIZES, RATIOS, -1)).transpose(0, 1).flatten(0, 2)


DETECTOR = Layout(r'^(backbone\.bottom_up|proposal_generator|roi_heads)\.', detector)
