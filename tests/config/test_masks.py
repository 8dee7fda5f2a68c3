"""Detectors that find no masks are not handed any, nor scored by them."""

import pytest

from denseformer.config.loading import load_config
from denseformer.config.masks import finds_masks, masks_of_boxes

BOXES = {'with_mask': False, 'scored': ['bbox'], 'key_metric': 'bbox_mAP'}


def config(tmp_path, head, overrides=None):
    bases = ['backbones/dinat_nano', f'heads/{head}', 'datasets/fruits', 'schedules/adamw_minutes_epochs']
    path = tmp_path / 'config.py'
    path.write_text(f'_base_ = {[f"denseformer::_base_/{base}.py" for base in (*bases, "runtime/epochs")]}\n')
    return load_config(path, overrides)


@pytest.mark.parametrize(
    ('head', 'keys'),
    [
        ('rtmdet', ['train_dataloader.dataset.pipeline[1].with_mask', 'val_evaluator.metric', 'test_evaluator.metric']),
        ('retinanet', ['val_evaluator.metric', 'test_evaluator.metric']),
    ],
)
def test_a_detector_of_boxes_on_a_dataset_of_masks_is_told_what_to_set(head, keys, tmp_path):
    findings = list(masks_of_boxes(config(tmp_path, head)))
    assert {finding.key for finding in findings} == set(keys)
    assert all("with_mask = False, scored = ['bbox']" in finding.problem for finding in findings)
    assert not list(masks_of_boxes(config(tmp_path, head, BOXES)))


@pytest.mark.parametrize('head', ['rtmdet_ins', 'mask_rcnn'])
def test_detectors_of_masks_are_known_by_their_heads(head, tmp_path):
    made = config(tmp_path, head)
    assert finds_masks(made.model)
    assert not list(masks_of_boxes(made))
