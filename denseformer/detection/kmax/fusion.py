"""Inference of kMaX-DeepLab: instances and a panoptic map from queries that share the pixels among them.

Legend: Q queries, K classes, n chosen queries, H W image, h w masks as predicted.
"""

from collections.abc import Mapping
from typing import Any

import torch
from mmdet.structures import INSTANCE_OFFSET
from mmdet.structures.mask import mask2bbox
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from denseformer.detection.kmax.network import resized
from denseformer.detection.mask2former.fusion import MaskFusion
from denseformer.registry import MODELS


@MODELS.register_module()
class KMaXFusion(MaskFusion):
    """The panoptic fusion head of `KMaXDeepLab`.

    Args:
        num_classes: of things and stuff together; things stand first.
        num_stuff: how many of them are stuff; without any there is no panoptic map.
        max_per_image: the most instances that are kept.
        pixel_threshold: lowest share of a query at a pixel of its mask.
        thing_threshold, stuff_threshold: lowest class probability of a query that takes part in the panoptic map.
        kept_share: smallest share of its mask that a query must win there against those before it.
        mask_weight: how much a mask's sureness counts beside the class's in the order of queries there; 0, not at all.
        test_cfg: passed by mmdetection's detector; not used.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        num_stuff: int = 0,
        max_per_image: int = 100,
        pixel_threshold: float = 0.4,
        thing_threshold: float = 0.7,
        stuff_threshold: float = 0.5,
        kept_share: float = 0.8,
        mask_weight: float = 1.0,
        test_cfg: dict | None = None,
    ):
        super().__init__(
            num_classes=num_classes, num_stuff=num_stuff, max_per_image=max_per_image, kept_share=kept_share
        )
        self.pixel_threshold = pixel_threshold
        self.mask_weight = mask_weight
        self.thing_threshold, self.stuff_threshold = thing_threshold, stuff_threshold

    def instances(self, chances: Tensor, masks: Tensor, meta: Mapping[str, Any], rescale: bool) -> InstanceData:
        """The best-scored pairs of a query and a class, of which the things are kept."""
        pairs = chances[:, :-1].flatten()  # (Q * K,)
        best, index = pairs.topk(min(self.max_per_image, len(pairs)), sorted=False)
        things = index % self.num_classes < self.num_things
        best, labels, queries = best[things], index[things] % self.num_classes, index[things] // self.num_classes
        inside, sureness = self.binarized(shares(masks, meta, rescale))
        found = InstanceData(scores=best * sureness[queries], labels=labels, masks=inside[queries])
        found.bboxes = mask2bbox(found.masks)
        return found[found.scores > 0]  # a query without a single pixel has none

    def panoptic(self, chances: Tensor, masks: Tensor, meta: Mapping[str, Any], rescale: bool) -> PixelData:
        """A map (1, H, W) of class + 1000 * instance, with the number of classes for nothing.

        Confident queries take the pixels of their masks in order of score, those that have been taken excepted.
        """
        sure, labels = chances[:, :-1].max(-1)
        inside, sureness = self.binarized(shares(masks, meta, rescale))
        result = torch.full(inside.shape[1:], self.num_classes, dtype=torch.int32, device=inside.device)
        threshold = torch.where(labels < self.num_things, self.thing_threshold, self.stuff_threshold)
        order = (sure * sureness**self.mask_weight).argsort(descending=True)
        instance = 0
        for query in order[(sure > threshold)[order]].tolist():
            part = inside[query] & (result == self.num_classes)
            if part.sum() > self.kept_share * inside[query].sum():
                label = int(labels[query])
                instance += label < self.num_things
                result[part] = label + INSTANCE_OFFSET * instance if label < self.num_things else label
        return PixelData(sem_seg=result[None])

    def binarized(self, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Shares of pixels (Q, H, W) as masks (Q, H, W), and the mean share inside of each, (Q,)."""
        inside = masks > self.pixel_threshold
        sureness = (masks * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)
        return inside, sureness


def shares(masks: Tensor, meta: Mapping[str, Any], rescale: bool) -> Tensor:
    """The share (Q, H, W) that each query has of each pixel: unpadded, before resizing if `rescale`."""
    H, W = meta['img_shape'][:2]
    odd = meta['batch_input_shape'][1] % 2
    masks = resized(masks[None].float(), meta['batch_input_shape'], odd)[..., :H, :W]
    if rescale:
        masks = resized(masks, meta['ori_shape'][:2], odd)
    return masks[0].softmax(0)
