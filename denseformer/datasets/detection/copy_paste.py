"""Objects of one image pasted into another.

G. Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation", CVPR 2021,
https://arxiv.org/abs/2012.07177.

Legend: n objects, H W image.
"""

from typing import Any

import numpy as np
from mmdet.datasets import transforms
from mmdet.structures.bbox import autocast_box_type
from mmdet.structures.mask import BitmapMasks

from denseformer.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CopyPaste(transforms.CopyPaste):
    """Some objects of another image of the dataset, pasted where they were; what they cover is covered.

    mmdetection's, without its wrapper around the dataset, which hides the classes from samplers: the other image is
    drawn here and passes the steps of the pipeline that stand before this one. It is cut or padded to the size of the
    image, which therefore may have any. Ignored objects are not pasted. Stands in the pipeline of one of this
    project's COCO datasets, not inside another transform; needs masks.

    Args:
        prob: share of the images into which objects are pasted; at 0 nothing is drawn.
        max_num_pasted: more than the objects that are pasted at most.
        bbox_occluded_thr, mask_occluded_thr: objects of which fewer pixels are left, and a side of whose box moved by
            more, are taken out.

    Raises ValueError where the dataset is none of these, or loads no masks.
    """

    def __init__(
        self, *, prob: float = 0.5, max_num_pasted: int = 100, bbox_occluded_thr: int = 10, mask_occluded_thr: int = 64
    ):
        super().__init__(max_num_pasted, bbox_occluded_thr, mask_occluded_thr)
        if not 0 <= prob <= 1:
            raise ValueError(f'CopyPaste: prob={prob} is a share of the images, from 0 to 1.')
        self.prob = prob
        self.dataset: Any = None  # set by the dataset whose pipeline this is in

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        if not self.prob or np.random.rand() >= self.prob:
            return results
        if self.dataset is None or 'gt_masks' not in results:
            raise ValueError(
                'CopyPaste needs masks, and a place in the pipeline of a denseformer.CocoDataset; or set copy_paste=0.'
            )
        other = self.other_image()
        if other is None:
            return results
        results['mix_results'] = [fitted(other, results['img'].shape[:2])]
        results = super().transform(results)
        del results['mix_results']
        results['img'] = results['img'].astype(other['img'].dtype)
        masks = results['gt_masks']
        results['gt_masks'] = BitmapMasks(masks.masks.astype(np.uint8), masks.height, masks.width)
        return results

    def other_image(self) -> dict | None:
        """An image of the dataset after the steps before this one; None where one of them leaves nothing of it."""
        results = self.dataset.get_data_info(np.random.randint(len(self.dataset)))
        for step in self.dataset.pipeline.transforms:
            if step is self or results is None:
                break
            results = step(results)
        return results


def fitted(results: dict, size: tuple[int, int]) -> dict:
    """An image of `size` (H, W) with the objects that count and show there: cut, or filled up, right and below."""
    image, masks, boxes = results['img'], results['gt_masks'], results['gt_bboxes']
    height, width = (min(pair) for pair in zip(size, image.shape[:2], strict=True))
    canvas = np.zeros((*size, *image.shape[2:]), image.dtype)
    canvas[:height, :width] = image[:height, :width]
    placed = np.zeros((len(masks.masks), *size), np.uint8)  # (n, H, W)
    placed[:, :height, :width] = masks.masks[:, :height, :width]
    kept = placed.any((1, 2)) & ~results['gt_ignore_flags']
    left = BitmapMasks(placed[kept], *size)
    return {
        'img': canvas,
        'gt_masks': left,
        'gt_bboxes': left.get_bboxes(type(boxes)),
        'gt_bboxes_labels': results['gt_bboxes_labels'][kept],
        'gt_ignore_flags': results['gt_ignore_flags'][kept],
    }
