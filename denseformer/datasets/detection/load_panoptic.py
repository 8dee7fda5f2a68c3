"""Strict reading of panoptic maps in COCO's format."""

import numpy as np
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.structures.mask import BitmapMasks

from denseformer.datasets.segmentation.label_maps import check_size
from denseformer.detection.panoptic_maps import check_map_format, read_segments
from denseformer.images.reading import decode_image, read_bytes
from denseformer.registry import TRANSFORMS

IGNORED = 255


@TRANSFORMS.register_module()
class LoadPanoptic(LoadAnnotations):
    """Read `seg_map_path` into the boxes and masks of things and the class of every pixel.

    Replaces mmdetection's LoadPanopticAnnotations, which needs panopticapi. The results are the same:
    `gt_bboxes`, `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, and `gt_seg_map`, (H, W) uint8, 255 where a pixel
    belongs to no class. Boxes are those of the masks, whatever the json says.

    Raises ValueError for a map that is missing, no image, in another format than COCO's, of another size than the
    image, or of other segments than its json lists.
    """

    def __init__(self, *, backend_args: dict | None = None):
        super().__init__(with_bbox=True, with_mask=True, with_seg=False, backend_args=backend_args)

    def _load_masks(self, results: dict) -> None:
        path = results['seg_map_path']
        data = read_bytes(path, 'panoptic map', self.backend_args)
        check_map_format(path, data)
        colors = decode_image(path, data).as_bgr8()
        check_size(path, colors[..., 0], results)
        rows, listed_ids = results['segments_info'], results.get('listed_ids')
        ids, labels = [row['id'] for row in rows], [row['category'] for row in rows]
        found = read_segments(path, colors[..., ::-1], ids, labels, listed_ids=listed_ids)
        masks = [found.numbers == i for i, row in enumerate(rows, 1) if row['is_thing']]
        results['gt_masks'] = BitmapMasks([mask.astype(np.uint8) for mask in masks], *found.numbers.shape)
        results['gt_bboxes'] = results['gt_masks'].get_bboxes(dst_type='hbox')
        results['gt_seg_map'] = np.array([IGNORED, *labels], np.uint8)[found.numbers]
