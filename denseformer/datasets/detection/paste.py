"""Copy-paste for panoptic segmentation: segments of one image over another, as kMaX-DeepLab trains with.

Legend: H W canvas, n things.
"""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmdet.structures.mask import BitmapMasks

from denseformer.datasets.detection.load_panoptic import IGNORED
from denseformer.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PasteSegments(BaseTransform):
    """Paste segments of another image of the dataset: all of its things, and a random share of its stuff.

    How many of the other image's segments are drawn is uniform; the stuff among them is pasted, and all things are,
    drawn or not. Crowds are not. Things of which nothing is left to see are dropped. Both images lie in the upper left
    corner of a canvas that holds both. `CocoPanopticDataset` lets its samples know it as `dataset` while training.

    Args:
        transforms: what the other image goes through, reading first; nothing is pasted where one of them refuses it.
        fill: value of image pixels where neither image is.

    Raises ValueError for a sample that does not know its dataset.
    """

    def __init__(self, transforms: Sequence[dict], fill: int = 128):
        self.transforms = Compose(transforms)
        self.fill = fill

    def transform(self, results: dict) -> dict:
        if 'dataset' not in results:
            raise ValueError('PasteSegments takes samples of denseformer.CocoPanopticDataset, while training.')
        dataset = results['dataset']
        other = self.transforms(dataset.get_data_info(np.random.randint(len(dataset))))
        if other is None:
            return results
        size = tuple(np.maximum(results['img'].shape[:2], other['img'].shape[:2]))
        for sample in (results, other):
            self.enlarge(sample, size)
        paste(results, other, num_things=len(dataset.metainfo['thing_classes']))
        return results

    def enlarge(self, sample: dict, size: tuple[int, int]) -> None:
        """Extend a sample's image, label map and masks to the right and below, to `size`."""
        height, width = sample['img'].shape[:2]
        margin = (0, size[0] - height), (0, size[1] - width)
        sample['img'] = np.pad(sample['img'], (*margin, (0, 0)), constant_values=self.fill)
        sample['gt_seg_map'] = np.pad(sample['gt_seg_map'], margin, constant_values=IGNORED)
        sample['gt_masks'] = sample['gt_masks'].pad(size)
        sample['img_shape'] = size


def paste(results: dict, other: dict, num_things: int) -> None:
    """Paste segments of `other` over `results`, which are of one size."""
    things = np.flatnonzero(~other['gt_ignore_flags'])
    labels = other['gt_seg_map']
    stuff = [label for label in np.unique(labels) if num_things <= label != IGNORED]
    segments = len(things) + len(stuff)
    drawn = np.random.permutation(segments)[: np.random.randint(segments + 1)]
    chosen = [stuff[i - len(things)] for i in drawn if i >= len(things)]
    pasted = other['gt_masks'].masks[things]  # (n, H, W)
    over = pasted.any(0) | np.isin(labels, chosen)  # (H, W)

    results['img'] = np.where(over[..., None], other['img'], results['img'])
    results['gt_seg_map'] = np.where(over, labels, results['gt_seg_map'])
    covered = results['gt_masks'].masks * ~over
    kept = covered.any((1, 2))
    masks = np.concatenate([covered[kept], pasted])
    results['gt_masks'] = BitmapMasks(masks, *over.shape)
    results['gt_bboxes'] = results['gt_masks'].get_bboxes(dst_type='hbox')
    for name in ('gt_bboxes_labels', 'gt_ignore_flags'):
        results[name] = np.concatenate([results[name][kept], other[name][things]])
