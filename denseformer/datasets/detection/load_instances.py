"""Boxes and masks of a sample, with every doubt about them raised as an error that names the image."""

from collections.abc import Mapping
from typing import Any

from mmdet.datasets.transforms import LoadAnnotations

from denseformer.detection.rle import runs_fault
from denseformer.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadInstances(LoadAnnotations):
    """mmdetection's LoadAnnotations, which raises where boxes and masks do not belong to the image.

    An object whose outline holds no pixel cannot be learned: it is ignored.

    Args:
        with_mask: read masks besides boxes, as bitmaps.
        with_seg: read the image's label map, too, where the dataset says it lies.

    Raises ValueError where the image is not as large as its annotations say, an object has no mask, or a mask is not
    as large as the image, or run lengths do not fill it.
    """

    def __init__(self, *, with_mask: bool = False, with_seg: bool = False):
        super().__init__(with_mask=with_mask, with_seg=with_seg)

    def transform(self, results: dict) -> dict:
        check_size(results)
        return super().transform(results)

    def _process_masks(self, results: dict) -> list:
        for instance in results['instances']:
            check_mask(instance.get('mask'), results)
        return super()._process_masks(results)

    def _load_masks(self, results: dict) -> None:
        super()._load_masks(results)
        results['gt_ignore_flags'] |= results['gt_masks'].areas == 0


def check_size(results: Mapping[str, Any]) -> None:
    size, said = tuple(results['ori_shape']), (results['height'], results['width'])
    if said != size:
        advice = 'Correct the annotations: they belong to another version of the image.'
        if said == size[::-1]:
            advice = 'One is turned: store the image upright, or load it with apply_orientation=False.'
        raise ValueError(f"'{results['img_path']}' is {size} (H, W), its annotations are for {said}. {advice}")


def check_mask(mask: Any, results: Mapping[str, Any]) -> None:
    if mask is None:
        raise ValueError(
            f"An object in '{results['img_path']}' has a box and no mask. Use a head that needs none and set "
            'with_mask=False, or complete the annotations.'
        )
    if isinstance(mask, Mapping) and tuple(mask.get('size', ())) != tuple(results['ori_shape']):
        raise ValueError(
            f"A mask in '{results['img_path']}' is {mask.get('size')}, its image {results['ori_shape']} (H, W). "
            'Encode it at the size of the image.'
        )
    fault = runs_fault(mask) if isinstance(mask, Mapping) else ''
    if fault:
        raise ValueError(f"A mask in '{results['img_path']}' has {fault}. Encode it again.")
