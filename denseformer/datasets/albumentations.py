"""Albumentations for segmentation, detection and restoration: images and all labels are transformed together.

mmdetection's Albu leaves label maps, keypoints and second images as they are, takes no polygons, keeps masks and
ignore flags of removed boxes unless told their names, passes B, G, R for R, G, B, and does not follow the seed.
"""

import inspect
import random
import traceback
import warnings
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import albumentations
import numpy as np
import torch
from albumentations import BaseCompose, BasicTransform, Compose
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from denseformer.datasets.restoration.transforms import with_channels
from denseformer.registry import TRANSFORMS

PER_INSTANCE = ('gt_bboxes_labels', 'gt_ignore_flags', 'gt_instances_ids', 'gt_keypoints')
UNSUPPORTED = ('proposals', 'gt_edge_map', 'gt_depth_map')
BOXES = {'format': 'pascal_voc', 'label_fields': ['numbers'], 'clip': True, 'filter_invalid_bboxes': True}
KEYPOINTS = {'format': 'xy', 'remove_invisible': False}
NO_BOXES = np.zeros((0, 4), np.float32)
BYTES_BEGIN = 2.0  # floating images that reach higher are not in [0, 1]


@TRANSFORMS.register_module()
class Albumentations(BaseTransform):
    """Apply transforms of Albumentations to a sample's images and labels, or to its image alone.

    Changed together are `img` and `gt_img`, uint8 or float32 in [0, 1], colors in the order B, G, R; `gt_seg_map`;
    `mask`; `gt_bboxes`, `gt_masks`, `gt_keypoints` and what belongs to each instance. An instance whose box or mask has
    left the image goes, with everything that belongs to it. Boxes are cut at the borders. Keypoints keep their order,
    and those that have left the image become invisible. Where a transform leaves a label map empty, it is ignored.

    Args:
        transforms: configs, such as dict(type='Affine', rotate=(-10, 10), p=0.5); OneOf and its kin have `transforms`.
        only_img: degrade `img`, or a copy of `gt_img` where there is no `img`, and leave all else as it is.
        ignore_index: the label of pixels that do not count.

    Raises ValueError, which names the transform, for one that does not exist, arguments it does not take, and whatever
    goes wrong in it.
    """

    opaque = ('transforms',)  # what the audit cannot look up: these are no components of a registry

    def __init__(self, *, transforms: Sequence[Mapping[str, Any]], only_img: bool = False, ignore_index: int = 255):
        self.transforms = transforms
        self.only_img = only_img
        self.ignore_index = ignore_index
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'Got processor for')  # boxes stay where they are when nothing moves
            self.compose = Compose(
                [build_transform(config) for config in transforms],
                bbox_params=BOXES,
                keypoint_params=KEYPOINTS,
                additional_targets={'gt_img': 'image', 'gt_seg_map': 'mask'},
            )

    def transform(self, results: dict) -> dict:
        return self._degrade(results) if self.only_img else self._augment(results)

    def _degrade(self, results: dict) -> dict:
        image = results['img'] if 'img' in results else results['gt_img']
        changed = self._run({'image': as_rgb(image), 'bboxes': NO_BOXES, 'numbers': []}, results)['image']
        if changed.shape[:2] != image.shape[:2]:
            raise ValueError(f'{self} changes the size of an image that it is to degrade; leave only_img out.')
        results['img'] = as_bgr(changed)
        return results

    def _augment(self, results: dict) -> dict:
        check_targets(results)
        images = [name for name in ('img', 'gt_img') if name in results]
        given = {'image': as_rgb(results[images[0]]), **self._labels(results)}
        if len(images) == 2:
            given['gt_img'] = as_rgb(results['gt_img'])
        changed = self._run(given, results)
        for name in images:
            results[name] = as_bgr(changed['image' if name == images[0] else name])
        if 'img_shape' in results:
            results['img_shape'] = changed['image'].shape[:2]
        if 'mask' in results:
            results['mask'] = with_channels(changed['mask'])
        if 'gt_seg_map' in results:
            labels = np.where(changed['gt_seg_map'] == 0, self.ignore_index, changed['gt_seg_map'] - 1)
            results['gt_seg_map'] = labels.astype(results['gt_seg_map'].dtype)
        replace_instances(results, changed)
        return results

    def _labels(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """Labels of a sample under the names that Albumentations has for them."""
        boxes = box_array(results['gt_bboxes']) if 'gt_bboxes' in results else NO_BOXES
        labels: dict[str, Any] = {'bboxes': boxes, 'numbers': np.arange(len(boxes))}
        if 'mask' in results:
            labels['mask'] = results['mask']
        if 'gt_seg_map' in results:  # float32, which every transform takes; 0 is what it fills in
            classes = results['gt_seg_map']
            labels['gt_seg_map'] = np.where(classes == self.ignore_index, 0, classes.astype(np.float32) + 1)
        if 'gt_masks' in results:
            labels['masks'] = list(results['gt_masks'].to_ndarray())
        if 'gt_keypoints' in results:
            labels['keypoints'] = results['gt_keypoints'][..., :2].reshape(-1, 2)
        return labels

    def _run(self, given: dict[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
        """Run the transforms on `given`, seeded from numpy's generator, which the run seeds for every sample."""
        seed = np.random.randint(2**32, dtype=np.uint64)
        self.compose.set_random_state(np.random.default_rng(seed), random.Random(int(seed)))
        try:
            changed = self.compose(**given)
        except Exception as error:  # each transform fails in its own way, and none says which it is
            path = results.get('img_path') or results.get('gt_path')
            raise ValueError(f"Albumentations' {failing_transform(error)} failed on '{path}': {error}") from error
        if not isinstance(changed['image'], np.ndarray):
            raise ValueError(f'{self} gives no array: leave ToTensorV2 out, packing makes the tensors.')
        return changed

    def __repr__(self) -> str:
        return f'{type(self).__name__}(transforms={self.transforms}, only_img={self.only_img})'


def build_transform(config: Mapping[str, Any]) -> BasicTransform | BaseCompose:
    """A transform of Albumentations, or a group of them, from its config."""
    options = dict(config)
    name = options.pop('type', None)
    cls = getattr(albumentations, str(name), None)
    if not inspect.isclass(cls) or not issubclass(cls, (BasicTransform, BaseCompose)):
        near = get_close_matches(str(name), dir(albumentations), n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ''
        raise ValueError(f"Albumentations has no transform '{name}'.{hint}")
    if options.get('fill_mask'):
        raise ValueError(f'{name}: leave fill_mask out; what is empty is ignored in label maps and 0 in masks.')
    unknown = sorted(set(options) - set(inspect.signature(cls).parameters))
    if unknown:
        raise ValueError(f'{name} takes no {", ".join(unknown)}; it takes {inspect.signature(cls)}.')
    if 'transforms' in options:
        options['transforms'] = [build_transform(part) for part in options['transforms']]
    try:
        return cls(**options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Albumentations' {name} cannot be built: {error}") from error


def failing_transform(error: Exception) -> str:
    """Name of the innermost transform that raised an error."""
    owners = [frame.f_locals.get('self') for frame, _ in traceback.walk_tb(error.__traceback__)]
    names = [type(owner).__name__ for owner in owners if isinstance(owner, (BasicTransform, BaseCompose))]
    return names[-1] if names else Compose.__name__


def as_rgb(image: np.ndarray) -> np.ndarray:
    """(H, W, C), colors as B, G, R -> as R, G, B, which Albumentations expects."""
    if image.dtype.kind == 'f' and image.size and image.max() > BYTES_BEGIN:
        raise ValueError(
            f'Albumentations takes floating images in [0, 1]; this one reaches {image.max():g}. Augment it as uint8, '
            'with to_float32=False where it is loaded.'
        )
    return as_bgr(image)


def as_bgr(image: np.ndarray) -> np.ndarray:
    image = with_channels(image)
    return np.ascontiguousarray(image[..., ::-1]) if image.shape[2] == 3 else image


def check_targets(results: Mapping[str, Any]) -> None:
    """Raise ValueError for labels that would be left behind, and for two images of different sizes."""
    behind = [name for name in UNSUPPORTED if name in results]
    if behind:
        raise ValueError(f'Albumentations does not change {", ".join(behind)}; put it before what makes them.')
    size, target = (results[name].shape[:2] if name in results else None for name in ('img', 'gt_img'))
    if size and target and size != target:
        raise ValueError(
            f'img is {size[0]} x {size[1]} and gt_img {target[0]} x {target[1]} (H x W): Albumentations changes images '
            'of one size together. Put it before the transform that shrinks the target, or use only_img=True.'
        )


def box_array(boxes: HorizontalBoxes | np.ndarray) -> np.ndarray:
    """(n, 4) x1, y1, x2, y2."""
    if isinstance(boxes, np.ndarray):
        return boxes.reshape(-1, 4)
    if not isinstance(boxes, HorizontalBoxes):
        raise ValueError(f'Albumentations takes upright boxes, not {type(boxes).__name__}; use box_type="hbox".')
    return boxes.tensor.numpy()


def replace_instances(results: dict, changed: Mapping[str, Any]) -> None:
    """Write back boxes, masks and keypoints, without the instances that have left the image."""
    kept = instances_left(results, changed)
    if 'gt_bboxes' in results:
        rows = np.flatnonzero(np.isin(changed['numbers'], kept))
        boxes = changed['bboxes'][rows].astype(np.float32)
        whole = results['gt_bboxes']
        results['gt_bboxes'] = boxes if isinstance(whole, np.ndarray) else HorizontalBoxes(torch.from_numpy(boxes))
    if 'gt_masks' in results:
        results['gt_masks'] = BitmapMasks([changed['masks'][i] for i in kept], *changed['image'].shape[:2])
    if 'gt_keypoints' in results:
        results['gt_keypoints'] = move_keypoints(results['gt_keypoints'], changed)
    for name in PER_INSTANCE:
        if name in results:
            results[name] = results[name][kept]


def instances_left(results: Mapping[str, Any], changed: Mapping[str, Any]) -> np.ndarray:
    """Numbers of the instances whose boxes and masks are still in the image, ascending."""
    count = next((len(results[name]) for name in ('gt_bboxes', 'gt_masks', 'gt_keypoints') if name in results), 0)
    left = np.isin(np.arange(count), changed['numbers']) if 'gt_bboxes' in results else np.ones(count, bool)
    if 'gt_masks' in results:
        before, after = results['gt_masks'].to_ndarray(), changed['masks']
        left &= np.array([new.any() or not old.any() for old, new in zip(before, after, strict=True)], bool)
    return np.flatnonzero(left)


def move_keypoints(keypoints: np.ndarray, changed: Mapping[str, Any]) -> np.ndarray:
    """Keypoints (n, k, 2 or 3) at their new places; the third number, their visibility, 0 outside the image."""
    height, width = changed['image'].shape[:2]
    places = changed['keypoints'].reshape(*keypoints.shape[:2], 2)
    inside = ((places >= 0) & (places < (width, height))).all(-1, keepdims=True)
    return np.concatenate([places, keypoints[..., 2:] * inside], -1).astype(keypoints.dtype)
