"""Inference of Mask2Former: instances and a panoptic map from the classes and masks of queries.

Mask2Former, https://arxiv.org/abs/2112.01527, and its inference, https://github.com/facebookresearch/Mask2Former (MIT).

Legend: Q queries, K classes, n chosen queries, H W image, h w masks as predicted.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from mmdet.structures import INSTANCE_OFFSET
from mmdet.structures.mask import mask2bbox
from mmengine.structures import InstanceData, PixelData
from torch import Tensor, nn
from torch.nn.functional import interpolate

from denseformer.registry import MODELS

CHUNK = 16
"""Number of masks that are upsampled to the image's size together."""


@MODELS.register_module()
class MaskFusion(nn.Module):
    """The panoptic fusion head of mmdetection's `Mask2Former`, for class scores and masks at any size.

    mmdetection's enlarges every mask of every query to the image's size, twice, and copies it for every class; this one
    enlarges what has been chosen, a few at a time. It also finds fewer than `max_per_image` where there are fewer.

    Args:
        num_classes: of things and stuff together; things stand first.
        num_stuff: how many of them are stuff; without any there is no panoptic map.
        max_per_image: the most instances that are kept.
        score_threshold: lowest class probability of a query that takes part in the panoptic map.
        kept_share: smallest share of its mask that a query must win there against the others.
        test_cfg: passed by mmdetection's detector; not used.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        num_stuff: int = 0,
        max_per_image: int = 100,
        score_threshold: float = 0.8,
        kept_share: float = 0.8,
        test_cfg: dict | None = None,
    ):
        super().__init__()
        self.num_classes = num_classes
        self.num_things = num_classes - num_stuff
        self.max_per_image = max_per_image
        self.score_threshold = score_threshold
        self.kept_share = kept_share

    def predict(
        self, scores: Tensor, masks: Tensor, batch_data_samples: Sequence[Any], rescale: bool = False
    ) -> list[dict[str, InstanceData | PixelData]]:
        """Instances and panoptic map of each image, under the names that mmdetection's detector reads.

        Args:
            scores: (B, Q, K + 1) before the softmax, the last one for nothing.
            masks: (B, Q, h, w) before the sigmoid.
            batch_data_samples: with the sizes of the images as they were given to the network and before.
            rescale: masks at the images' sizes before they were resized.
        """
        results = []
        for query_scores, query_masks, sample in zip(scores, masks, batch_data_samples, strict=True):
            chances = query_scores.float().softmax(-1)
            found: dict[str, Any] = {'ins_results': self.instances(chances, query_masks, sample.metainfo, rescale)}
            if self.num_things < self.num_classes:
                found['pan_results'] = self.panoptic(chances, query_masks, sample.metainfo, rescale)
            results.append(found)
        return results

    def instances(self, chances: Tensor, masks: Tensor, meta: Mapping[str, Any], rescale: bool) -> InstanceData:
        """The best-scored pairs of a query and a class, of which the things are kept.

        chances: (Q, K + 1) probabilities of classes; masks: (Q, h, w) before the sigmoid. The score is the class's
        probability times the mean probability of the mask's pixels.
        """
        pairs = chances[:, :-1].flatten()  # (Q * K,)
        best, index = pairs.topk(min(self.max_per_image, len(pairs)), sorted=False)
        things = index % self.num_classes < self.num_things
        best, labels = best[things], index[things] % self.num_classes
        queries, which = (index[things] // self.num_classes).unique(return_inverse=True)
        binary, sureness = binarize(masks[queries], meta, rescale)
        found = InstanceData(scores=best * sureness[which], labels=labels, masks=binary[which])
        found.bboxes = mask2bbox(binary)[which]
        return found[found.scores > 0]  # a query without a single pixel has none

    def panoptic(self, chances: Tensor, masks: Tensor, meta: Mapping[str, Any], rescale: bool) -> PixelData:
        """A map (1, H, W) of class + 1000 * instance, with the number of classes for nothing.

        A pixel belongs to the confident query of the highest score there, unless that query loses most of its mask.
        """
        sure, labels = chances.max(-1)
        chosen = (labels < self.num_classes) & (sure > self.score_threshold)
        sure, labels = sure[chosen], labels[chosen].tolist()
        claims = torch.cat([part.sigmoid_() for part in enlarged(masks[chosen], meta, rescale)])  # (n, H, W)
        result = torch.full(claims.shape[1:], self.num_classes, dtype=torch.int32, device=claims.device)
        if labels:
            inside = claims >= 0.5
            areas = inside.sum((1, 2)).tolist()
            winner = claims.mul_(sure[:, None, None]).argmax(0)  # (H, W)
            won = winner.flatten().bincount(minlength=len(labels)).tolist()
            instance = 0
            for k, label in enumerate(labels):
                part = inside[k] & (winner == k)
                if areas[k] and won[k] / areas[k] >= self.kept_share and part.any():
                    is_thing = label < self.num_things
                    instance += is_thing
                    result[part] = label + INSTANCE_OFFSET * instance if is_thing else label
        return PixelData(sem_seg=result[None])


def enlarged(masks: Tensor, meta: Mapping[str, Any], rescale: bool) -> Iterator[Tensor]:
    """Masks (n, h, w) at the image's size, (16 or less, H, W) at a time: unpadded, before resizing if `rescale`."""
    H, W = meta['img_shape'][:2]
    for part in masks.float().split(CHUNK):
        part = interpolate(part[:, None], meta['batch_input_shape'], mode='bilinear')[..., :H, :W]
        if rescale:
            part = interpolate(part, meta['ori_shape'][:2], mode='bilinear')
        yield part[:, 0]


def binarize(masks: Tensor, meta: Mapping[str, Any], rescale: bool) -> tuple[Tensor, Tensor]:
    """Masks (n, h, w) as (n, H, W) bool, and the mean probability of the pixels in each, (n,)."""
    whole, sureness = [], []
    for part in enlarged(masks, meta, rescale):
        inside = part > 0
        total = (part.sigmoid_() * inside).sum((1, 2))
        whole.append(inside)
        sureness.append(total / (inside.sum((1, 2)) + 1e-6))
    return torch.cat(whole), torch.cat(sureness)
