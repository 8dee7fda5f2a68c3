"""Panoptic maps in COCO's format, and those of the sample set."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.structures.mask import BitmapMasks

from denseformer.datasets.detection.coco import CocoPanopticDataset
from denseformer.datasets.loading import check_pixels, check_size, decode_image, pixels_in_header, read_bytes
from denseformer.datasets.sample import PALETTE, STUFF_CLASSES, THING_CLASSES, ensure_sample_set
from denseformer.detection.panoptic_quality import numbered, segment_ids
from denseformer.registry import DATASETS, TRANSFORMS

IGNORED = 255


@TRANSFORMS.register_module()
class LoadPanoptic(LoadAnnotations):
    """Read `seg_map_path` into the boxes and masks of things and the class of every pixel.

    mmdetection's LoadPanopticAnnotations needs panopticapi, which no package index has. The results are its own:
    `gt_bboxes`, `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, and `gt_seg_map`, (H, W) uint8, 255 where a pixel
    belongs to no class.

    Raises ValueError for a map that is missing, no image, or of another size than the image.
    """

    def __init__(self, *, backend_args: dict | None = None):
        super().__init__(with_bbox=True, with_mask=True, with_seg=False, backend_args=backend_args)

    def _load_masks(self, results: dict) -> None:
        path = results['seg_map_path']
        data = read_bytes(path, 'panoptic map', self.backend_args)
        check_pixels(path, pixels_in_header(data))
        colours = decode_image(path, data, cv2.IMREAD_COLOR)
        check_size(path, colours[..., 0], results)
        rows = results['segments_info']
        labels = [row['category'] for row in rows]
        found = numbered(segment_ids(colours[..., ::-1]), [row['id'] for row in rows], labels)
        masks = [found.numbers == i for i, row in enumerate(rows, 1) if row['is_thing']]
        results['gt_masks'] = BitmapMasks([mask.astype(np.uint8) for mask in masks], *found.numbers.shape)
        results['gt_seg_map'] = np.array([IGNORED, *labels], np.uint8)[found.numbers]


@DATASETS.register_module()
class SamplePanoptic(CocoPanopticDataset):
    """Things and stuff of the sample set, which is drawn into `data_root` when it is first asked for.

    Args:
        data_root: where the set is, or will be.
        ann_file, data_prefix: the annotations, and 'img' and 'seg', the images and the panoptic maps, below
            `data_root`.
        train, val, size, seed: see `ensure_sample_set`.
        The others are described in mmdetection's `CocoPanopticDataset`.
    """

    METAINFO: dict = {  # noqa: RUF012
        'classes': (*THING_CLASSES, *STUFF_CLASSES),
        'thing_classes': THING_CLASSES,
        'stuff_classes': STUFF_CLASSES,
        'palette': list(PALETTE),
    }
    makes_its_data = True  # nothing to look for before the set is built

    def __init__(
        self,
        *,
        data_root: str,
        ann_file: str,
        data_prefix: Mapping[str, str],
        train: int = 240,
        val: int = 60,
        size: int = 160,
        seed: int = 0,
        **options: Any,
    ):
        self._parameters = {'train': train, 'val': val, 'size': size, 'seed': seed}
        super().__init__(data_root=data_root, ann_file=ann_file, data_prefix=dict(data_prefix), **options)

    def load_data_list(self) -> list[dict]:
        ensure_sample_set(self.data_root, **self._parameters)
        return super().load_data_list()
