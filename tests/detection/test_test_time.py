"""What a detector finds in copies of an image is turned back and merged: boxes, masks and panoptic maps."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData

from denseformer.config.errors import ConfigError
from denseformer.detection import DetectorTTA
from denseformer.detection.test_time import merge_copies, merge_maps, mirrored
from denseformer.engine import load_config
from denseformer.engine.launch import use_test_time_augmentation

H, W = 20, 30
BOXES = [(2, 3, 12, 9), (14, 5, 25, 18)]
AXES = {None: (), 'horizontal': (2,), 'vertical': (1,), 'diagonal': (1, 2)}


def copy_of(boxes, scores, direction=None, masks=True) -> DetDataSample:
    """What is found in a copy: boxes in the image's coordinates, and the masks that fill all but their first row."""
    filled = torch.zeros(len(boxes), H, W, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(filled, boxes, strict=True):
        mask[top + 1 : bottom, left:right] = True
    found = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    if direction in ('horizontal', 'diagonal'):
        found[:, [0, 2]] = W - found[:, [2, 0]]
    if direction in ('vertical', 'diagonal'):
        found[:, [1, 3]] = H - found[:, [3, 1]]
    sample = DetDataSample(metainfo=dict(ori_shape=(H, W), flip=direction is not None, flip_direction=direction))
    sample.pred_instances = InstanceData(
        bboxes=found, scores=torch.tensor(scores), labels=torch.zeros(len(boxes), dtype=torch.long)
    )
    if masks:
        sample.pred_instances.masks = filled.flip(AXES[direction])
    return sample


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
@pytest.mark.parametrize('masks', [True, False])
def test_boxes_and_masks_of_a_turned_copy_are_those_of_the_image(direction, masks):
    copies = [copy_of(BOXES, [0.8, 0.6], direction, masks), copy_of(BOXES, [0.7, 0.9], None, masks)]
    found = merge_copies(copies, 0).pred_instances
    expected = copy_of(BOXES[::-1], [0.9, 0.8], None, masks).pred_instances
    assert sorted(found.keys()) == sorted(expected.keys())
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


def test_what_one_of_two_copies_shows_alone_counts_half():
    found = merge_copies([copy_of(BOXES, [0.8, 0.6]), copy_of(BOXES[:1], [0.7], 'horizontal')], 0).pred_instances
    assert found.scores.tolist() == pytest.approx([0.8, 0.3])


def test_copies_without_instances():
    found = merge_copies([copy_of([], []), copy_of([], [], 'horizontal')], 0).pred_instances
    assert found.bboxes.shape == (0, 4)
    assert found.masks.shape == (0, H, W)


NOTHING, THING, OTHER, STUFF = 9, 1000, 1001, 5


def test_things_of_copies_are_matched_and_keep_apart():
    one = np.array([[1000, 1000, 2000, 2000, STUFF, STUFF]])
    other = np.array([[3000, 3000, 1000, 1000, 1000, STUFF]])
    merged = merge_maps([one, other], NOTHING)
    assert merged[0, 0] == merged[0, 1] != merged[0, 2] == merged[0, 3]
    assert (merged[0, :4] % 1000 == 0).all()
    assert (merged[0, :4] >= 1000).all()
    assert merged[0, 4:].tolist() == [STUFF, STUFF]  # of two that disagree the first


def test_a_segment_that_half_of_the_copies_show_is_left_out():
    maps = [np.array([[THING, THING, STUFF]]), np.array([[NOTHING, NOTHING, STUFF]])]
    assert merge_maps(maps, NOTHING).tolist() == [[NOTHING, NOTHING, STUFF]]
    assert merge_maps(maps[::-1], NOTHING).tolist() == [[NOTHING, NOTHING, STUFF]]
    classes_differ = [np.array([[THING, THING]]), np.array([[OTHER, OTHER]])]
    assert merge_maps(classes_differ, NOTHING).tolist() == [[NOTHING, NOTHING]]


def test_each_pixel_is_of_the_segment_that_most_copies_see():
    maps = [np.array([[STUFF, 7, 7, 7]]), np.array([[7, 7, STUFF, STUFF]]), np.array([[7, 7, STUFF, 7]])]
    assert merge_maps(maps, NOTHING).tolist() == [[7, 7, STUFF, 7]]


def test_panoptic_maps_of_mirrored_copies_are_turned_back():
    map_ = torch.full((H, W), NOTHING, dtype=torch.int32)
    map_[2:8, 1:6] = THING
    copies = []
    for direction in (None, 'horizontal'):
        sample = DetDataSample(metainfo=dict(ori_shape=(H, W), flip=bool(direction), flip_direction=direction))
        sample.pred_panoptic_seg = PixelData(sem_seg=(map_.flip(1) if direction else map_)[None])
        copies.append(sample)
    merged = merge_copies(copies, NOTHING).pred_panoptic_seg.sem_seg[0]
    assert torch.equal(merged != NOTHING, map_ != NOTHING)
    assert (merged[2:8, 1:6] % 1000 == 0).all()


class Left(BaseModel):
    """Finds a box at the left border of whatever it is given, at the image's original size."""

    def forward(self, inputs, data_samples, mode):
        for sample in data_samples:
            assert 'flip' not in sample  # mmdetection's cascades would turn masks back themselves
            h = sample.ori_shape[0]
            box = torch.tensor([[0.0, 0.0, h / 2, h]])
            sample.pred_instances = InstanceData(bboxes=box, scores=torch.ones(1), labels=torch.zeros(1).long())
        return data_samples


def test_the_model_is_tested_on_each_image_and_its_mirror_image():
    init_default_scope('mmdet')
    keys = ('img_id', 'ori_shape', 'img_shape', 'scale_factor')
    steps = [dict(type='Resize', scale=(60, 40), keep_ratio=True), dict(type='PackDetInputs', meta_keys=keys)]
    sample = dict(img=np.zeros((H, W, 3), np.uint8), img_id=3, img_shape=(H, W), ori_shape=(H, W), img_path='')
    (merged,) = DetectorTTA(module=Left()).test_step(pseudo_collate([Compose(mirrored(steps))(sample)]))
    assert merged.img_id == 3
    assert sorted(merged.pred_instances.bboxes.tolist()) == [[0, 0, 10, 20], [20, 0, 30, 20]]
    assert merged.pred_instances.scores.tolist() == [0.5, 0.5]


def test_a_detector_of_masks_is_scored_with_augmentation():
    config = load_config('configs/mask_rcnn_dinat_nano_sample.py')
    detector = config.model.type
    use_test_time_augmentation(config)
    assert (config.model.type, config.model.module.type) == ('denseformer.DetectorTTA', detector)
    assert [step['type'] for step in config.test_dataloader.dataset.pipeline] == [
        'denseformer.LoadImage',
        'TestTimeAug',
    ]


def test_every_part_of_a_wrapped_test_set_makes_copies():
    config = load_config('configs/retinanet_dinat_nano_bccd.py')
    part = config.test_dataloader.dataset
    config.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[part, dict(part)])
    use_test_time_augmentation(config)
    wrapper = config.test_dataloader.dataset
    assert 'pipeline' not in wrapper
    assert [part.pipeline[-1]['type'] for part in wrapper.datasets] == ['TestTimeAug'] * 2


def test_mmdetections_own_model_of_copies_is_refused_for_masks_alone():
    boxes, masks = (
        load_config(f'configs/{name}.py') for name in ('retinanet_dinat_nano_bccd', 'mask_rcnn_dinat_nano_sample')
    )
    for config in (boxes, masks):
        config.tta_model = Config(dict(type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5))))
    use_test_time_augmentation(boxes)
    assert boxes.model.type == 'DetTTAModel'
    with pytest.raises(ConfigError, match=r'merges no masks; use .*denseformer\.DetectorTTA'):
        use_test_time_augmentation(masks)
