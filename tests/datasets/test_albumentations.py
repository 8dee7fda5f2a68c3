"""Albumentations changes everything that a sample has by the same draw, and says what went wrong and where."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.dataset import Compose
from mmseg.datasets.transforms import PackSegInputs

from denseformer.datasets import Albumentations, LoadImage, LoadSegmentation

H, W = 48, 64
BOXES = np.array([[4, 4, 20, 16], [24, 8, 44, 40], [50, 30, 62, 46]], np.float32)
CORNERS = [[(x1, y1), (x2 - 1, y1), (x2 - 1, y2 - 1)] for x1, y1, x2, y2 in BOXES.astype(int)]
TURN = {'type': 'Affine', 'rotate': (20, 20), 'interpolation': cv2.INTER_NEAREST, 'p': 1}
FLIP = {'type': 'HorizontalFlip', 'p': 1}
LEFT_HALF = {'type': 'Crop', 'x_max': 46, 'y_max': H, 'p': 1}


def masks() -> np.ndarray:
    """(3, H, W): each box full."""
    drawn = np.zeros((len(BOXES), H, W), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(drawn, BOXES.astype(int), strict=True):
        mask[y1:y2, x1:x2] = 1
    return drawn


def sample(count: int = 3) -> dict:
    """A picture of `count` rectangles in greys of 50, 100, 150, with every kind of label."""
    labels = (masks()[:count] * np.arange(1, count + 1, dtype=np.uint8)[:, None, None]).sum(0).astype(np.uint8)
    image = np.repeat(50 * labels[..., None], 3, 2)
    return {
        'img': image,
        'img_path': 'pictures/a.png',
        'img_shape': (H, W),
        'gt_img': image.copy(),
        'mask': (labels > 0).astype(np.uint8)[..., None],
        'gt_seg_map': labels,
        'gt_bboxes': HorizontalBoxes(BOXES[:count]),
        'gt_bboxes_labels': np.arange(10, 10 + count),
        'gt_ignore_flags': np.array([False, True, False])[:count],
        'gt_instances_ids': np.arange(70, 70 + count),
        'gt_masks': BitmapMasks(list(masks()[:count]), H, W),
        'gt_keypoints': np.array([[(*point, 2) for point in corners] for corners in CORNERS], np.float32)[:count],
    }


def augmented(*transforms: dict, results: dict | None = None, **options) -> dict:
    return Albumentations(transforms=transforms, **options)(sample() if results is None else results)


def boxes_of(results: dict) -> np.ndarray:
    return results['gt_bboxes'].tensor.numpy()


def test_everything_is_turned_by_the_same_angle():
    np.random.seed(0)
    results = augmented({**TURN, 'rotate': (-45, 45)})
    labels = results['gt_seg_map']
    assert not np.array_equal(labels, sample()['gt_seg_map'])
    counted = np.where(labels == 255, 0, labels)
    assert np.array_equal(results['img'], np.repeat(50 * counted[..., None], 3, 2))
    assert np.array_equal(results['gt_img'], results['img'])
    assert np.array_equal(results['mask'][..., 0], counted > 0)
    assert len(results['gt_masks']) == len(boxes_of(results)) == 3
    for i, (mask, (x1, y1, x2, y2)) in enumerate(zip(results['gt_masks'].masks, boxes_of(results), strict=True), 1):
        assert np.array_equal(mask, counted == i)
        rows, columns = np.nonzero(mask)
        assert x1 - 1 <= columns.min() <= columns.max() <= x2
        assert y1 - 1 <= rows.min() <= rows.max() <= y2


def test_what_turning_leaves_empty_is_ignored_in_label_maps_and_no_part_of_an_object():
    results = augmented({**TURN, 'fill': 200})
    empty = (results['img'] == 200).all(-1)
    assert empty.any()
    assert (results['gt_seg_map'][empty] == 255).all()
    assert not results['gt_masks'].masks[:, empty].any()
    assert (augmented(TURN, ignore_index=9)['gt_seg_map'][empty] == 9).all()


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int64])
def test_ignored_labels_stay_ignored_and_types_stay(dtype):
    results = sample()
    results['gt_seg_map'] = results['gt_seg_map'].astype(dtype)
    results['gt_seg_map'][:3] = 255
    labels = augmented(FLIP, results=results)['gt_seg_map']
    assert labels.dtype == dtype
    assert (labels[:3] == 255).all()
    assert np.array_equal(labels[3:], sample()['gt_seg_map'][3:, ::-1])


@pytest.mark.parametrize('kind', ['bitmaps', 'polygons'])
def test_an_instance_that_is_cropped_away_goes_with_all_that_belongs_to_it(kind):
    results = sample()
    if kind == 'polygons':
        outlines = [[np.array([x1, y1, x2, y1, x2, y2, x1, y2])] for x1, y1, x2, y2 in BOXES]
        results['gt_masks'] = PolygonMasks(outlines, H, W)
    results = augmented(LEFT_HALF, results=results)
    assert results['img'].shape[:2] == results['img_shape'] == results['gt_seg_map'].shape == (H, 46)
    assert np.allclose(boxes_of(results), BOXES[:2], atol=1e-4)
    assert results['gt_bboxes_labels'].tolist() == [10, 11]
    assert results['gt_ignore_flags'].tolist() == [False, True]
    assert results['gt_instances_ids'].tolist() == [70, 71]
    assert np.array_equal(results['gt_masks'].masks, masks()[:2, :, :46])
    assert results['gt_keypoints'].shape == (2, 3, 3)


def test_an_instance_goes_whose_mask_has_left_while_its_box_has_not():
    results = sample()
    results['gt_masks'].masks[1] = 0
    results['gt_masks'].masks[1, 39, 43] = 1  # the lower right corner of its box
    results = augmented({'type': 'Crop', 'x_max': 40, 'y_max': 30, 'p': 1}, results=results)
    assert results['gt_bboxes_labels'].tolist() == [10]


def test_boxes_are_cut_at_the_border_and_those_outside_taken_back():
    results = sample()
    results['gt_bboxes'] = HorizontalBoxes(np.array([[-5, -5, 20, 16], [24, 8, 80, 40], [50, 30, 62, 46]], np.float32))
    boxes = boxes_of(augmented(FLIP, results=results))
    assert np.allclose(boxes, [[44, 0, 64, 16], [0, 8, 40, 40], [2, 30, 14, 46]], atol=1e-4)


def test_keypoints_keep_their_order_and_those_outside_become_invisible():
    keypoints = augmented(FLIP)['gt_keypoints']
    assert np.allclose(keypoints[..., 0], W - 1 - sample()['gt_keypoints'][..., 0])
    assert (keypoints[..., 2] == 2).all()
    cropped = augmented({'type': 'Crop', 'x_min': 10, 'y_max': H, 'x_max': W, 'p': 1})['gt_keypoints']
    assert np.allclose(cropped[..., :2], sample()['gt_keypoints'][..., :2] - (10, 0))
    assert cropped[0, :, 2].tolist() == [0, 2, 2]


def test_samples_without_objects_pass():
    results = augmented(TURN, {'type': 'Resize', 'height': 24, 'width': 32, 'p': 1}, results=sample(0))
    assert boxes_of(results).shape == (0, 4)
    assert results['gt_masks'].masks.shape == (0, 24, 32)
    assert results['gt_bboxes_labels'].shape == (0,)
    assert results['gt_keypoints'].shape == (0, 3, 3)


@pytest.mark.parametrize('kept', [['img'], ['gt_img'], ['img', 'gt_img'], ['img', 'gt_seg_map'], ['img', 'gt_masks']])
def test_each_task_has_some_of_the_labels(kept):
    whole = sample()
    results = augmented(FLIP, results={name: whole[name] for name in kept})
    assert set(results) == set(kept)
    for name in set(kept) - {'gt_masks'}:
        assert np.array_equal(results[name], sample()[name][:, ::-1])


def test_boxes_may_be_an_array():
    boxes = augmented(FLIP, results={**sample(), 'gt_bboxes': BOXES.copy()})['gt_bboxes']
    assert isinstance(boxes, np.ndarray)
    assert np.allclose(boxes[0], [44, 4, 60, 16])


def test_colors_are_handed_over_in_the_order_albumentations_expects():
    image = np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)
    grey = augmented({'type': 'ToGray', 'p': 1}, results={'img': image})['img']
    assert np.abs(grey[..., 0].astype(int) - cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)).max() <= 1


def test_draws_follow_the_seed_and_transforms_draw_for_themselves():
    flips = [{'type': f'{way}Flip', 'p': 0.5} for way in ('Horizontal', 'Vertical')]
    transform = Albumentations(transforms=flips)
    upper, left = np.zeros((2, 8, 8, 3), np.uint8)
    upper[:4], left[:, :4] = 255, 255

    def draws(seed: int) -> list[tuple[bool, bool]]:
        np.random.seed(seed)
        changed = [transform({'img': upper, 'gt_img': left}) for _ in range(40)]
        return [(bool(one['gt_img'][0, 0, 0]), bool(one['img'][0, 0, 0])) for one in changed]

    assert draws(3) == draws(3)
    assert len(set(draws(3))) == 4


def test_only_img_degrades_the_image_and_nothing_else():
    noise = {'type': 'GaussNoise', 'std_range': (0.2, 0.2), 'p': 1}
    results = augmented(noise, only_img=True)
    assert not np.array_equal(results['img'], sample()['img'])
    assert np.array_equal(results['gt_img'], sample()['gt_img'])
    made = augmented(noise, only_img=True, results={'gt_img': sample()['gt_img']})
    assert np.array_equal(made['gt_img'], sample()['gt_img'])
    assert made['img'].std() != made['gt_img'].std()
    with pytest.raises(ValueError, match='changes the size'):
        augmented(LEFT_HALF, only_img=True)


def test_grey_and_floating_images_keep_shape_and_type():
    results = augmented({'type': 'GaussianBlur', 'p': 1}, results={'gt_img': np.zeros((H, W, 1), np.float32)})
    assert results['gt_img'].shape == (H, W, 1)
    assert results['gt_img'].dtype == np.float32


def test_no_transforms_change_nothing():
    results = augmented()
    assert np.array_equal(results['img'], sample()['img'])
    assert np.array_equal(results['gt_masks'].masks, masks())
    assert np.allclose(boxes_of(results), BOXES, atol=1e-4)


def test_groups_of_transforms_are_built_from_their_configs():
    group = {'type': 'OneOf', 'transforms': [FLIP, {'type': 'Sequential', 'transforms': [FLIP]}], 'p': 1}
    assert np.array_equal(augmented(group)['img'], sample()['img'][:, ::-1])


def test_a_segmentation_pipeline(tmp_path):
    labels = sample()['gt_seg_map']
    cv2.imwrite(str(tmp_path / 'a.jpg'), sample()['img'])
    cv2.imwrite(str(tmp_path / 'a.png'), labels)
    steps = [
        LoadImage(),
        LoadSegmentation(num_classes=4),
        Albumentations(transforms=[FLIP, LEFT_HALF]),
        PackSegInputs(),
    ]
    results = {'img_path': str(tmp_path / 'a.jpg'), 'seg_map_path': str(tmp_path / 'a.png'), 'seg_fields': []}
    packed = Compose(steps)(results)
    assert packed['inputs'].shape == (3, H, 46)
    assert np.array_equal(packed['data_samples'].gt_sem_seg.data[0], labels[:, ::-1][:, :46])
    assert packed['data_samples'].img_shape == (H, 46)


@pytest.mark.parametrize(
    ('config', 'words'),
    [
        ({'type': 'HorizontalFlop'}, "no transform 'HorizontalFlop'. Did you mean 'HorizontalFlip'"),
        ({'type': 'BboxParams'}, "no transform 'BboxParams'"),
        ({'p': 1}, "no transform 'None'"),
        ({'type': 'HorizontalFlip', 'probability': 1}, 'HorizontalFlip takes no probability'),
        ({'type': 'HorizontalFlip', 'p': 3}, 'HorizontalFlip cannot be built'),
        ({'type': 'OneOf', 'transforms': [{'type': 'Blurr'}]}, "no transform 'Blurr'"),
        ({**TURN, 'fill_mask': 255}, 'leave fill_mask out'),
    ],
    ids=str,
)
def test_a_wrong_config_is_named(config, words):
    with pytest.raises(ValueError, match=words):
        Albumentations(transforms=[config])


def test_a_transform_that_fails_is_named_with_the_file():
    group = {'type': 'OneOf', 'transforms': [{'type': 'HueSaturationValue', 'p': 1}], 'p': 1}
    deep = {'img': np.zeros((H, W, 3), np.uint16), 'img_path': 'pictures/a.png'}
    with pytest.raises(ValueError, match=r"HueSaturationValue failed on 'pictures/a\.png'"):
        augmented(group, results=deep)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'img': np.full((H, W, 3), 255.0, np.float32)}, r'in \[0, 1\]; this one reaches 255'),
        ({'gt_img': np.zeros((2 * H, 2 * W, 3), np.uint8)}, r'img is 48 x 64 and gt_img 96 x 128'),
        ({'gt_bboxes': torch.zeros(3, 5)}, 'upright boxes, not Tensor'),
        ({'gt_edge_map': np.zeros((H, W))}, 'does not change gt_edge_map'),
    ],
    ids=['bytes', 'sizes', 'boxes', 'edges'],
)
def test_samples_that_cannot_be_augmented_say_why(changes, words):
    with pytest.raises(ValueError, match=words):
        augmented(FLIP, results={**sample(), **changes})


def test_tensors_are_left_to_packing():
    with pytest.raises(ValueError, match='leave ToTensorV2 out'):
        augmented({'type': 'ToTensorV2'}, results={'img': sample()['img']})
