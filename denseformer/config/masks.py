"""Masks in a config: what the labels, the scores and the model of a detector have to agree on."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from denseformer.config.findings import Finding, walk

MASK_HEADS = ('.mask_head', '.panoptic_head')
"""Ends of the keys of a detector's parts that find masks."""
REMEDY = "set with_mask = False, scored = ['bbox'] and key_metric = 'bbox_mAP'"


def finds_masks(model: Mapping[str, Any]) -> bool:
    """Whether a detector finds masks: by a head of them, or by that of its boxes, as RTMDet-Ins and GiT with rays."""
    head = model.get('bbox_head') or {}
    return (
        'Ins' in str(head.get('type', ''))
        or bool(head.get('rays'))
        or any(key.endswith(MASK_HEADS) for key, _ in walk(model, 'model'))
    )


def masks_of_boxes(config: Config) -> Iterator[Finding]:
    """Detectors of boxes that are scored by masks, or, as RTMDet, fail where the labels have them."""
    model = config.get('model') or {}
    if not {'bbox_head', 'roi_head'} & model.keys() or finds_masks(model):
        return
    for name in ('val_evaluator', 'test_evaluator'):
        for key, part in walk(config.get(name) or {}, name):
            if isinstance(part, Mapping) and 'segm' in (part.get('metric') or ()):
                yield Finding(f'{key}.metric', f"has 'segm', but the model finds no masks: {REMEDY}.")
    head = str((model.get('bbox_head') or {}).get('type'))
    for key, part in walk(config.get('train_dataloader') or {}, 'train_dataloader'):
        if 'RTMDet' in head and isinstance(part, Mapping) and part.get('with_mask'):
            yield Finding(f'{key}.with_mask', f'is True, but {head} learns boxes alone: {REMEDY}.')
