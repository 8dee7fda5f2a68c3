"""Test-time augmentation of detectors: what they find in several copies of an image, merged.

mmdetection's `DetTTAModel` takes boxes alone, and counts what one copy shows with its full score. Here instances, with
their masks, are merged as those of overlapping tiles are (`instances.merge_views`), and panoptic maps by their votes.

Legend: L copies, H W image, n instances.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures import INSTANCE_OFFSET, DetDataSample
from mmengine.model import BaseTTAModel
from mmengine.structures import InstanceData, PixelData
from pycocotools import mask as rle

from denseformer.detection.instances import Instances, View, encoded, merge_views
from denseformer.registry import MODELS

TURN = ('flip', 'flip_direction')
AXES = {'horizontal': (-1,), 'vertical': (-2,), 'diagonal': (-2, -1)}
"""The axes of a map that a flip turns."""
Steps = Sequence[Mapping[str, Any]]


@MODELS.register_module()
class DetectorTTA(BaseTTAModel):
    """A detector, tested on several copies of each image: boxes, masks and panoptic maps.

    Args:
        module: the detector, built or as a config.
        data_preprocessor: in place of the detector's own.
    """

    def test_step(self, data: Mapping[str, Any]) -> list[DetDataSample]:
        """mmengine's, by `predict_copies`."""
        copies = ({key: value[i] for key, value in data.items()} for i in range(len(data['inputs'])))
        return self.merge_preds(list(zip(*(predict_copies(self.module, batch) for batch in copies), strict=True)))

    def merge_preds(self, data_samples_list: Sequence[Sequence[DetDataSample]]) -> list[DetDataSample]:
        """The predictions on each image's copies as one."""
        fusion = getattr(self.module, 'panoptic_fusion_head', None)
        return [merge_copies(samples, getattr(fusion, 'num_classes', 0)) for samples in data_samples_list]


def mirrored(steps: Steps) -> list[dict[str, Any]]:
    """The test pipeline that also takes each image mirrored; `steps` are those of one copy, the last one packs."""
    loading = [dict(step) for step in steps if step['type'].rpartition('.')[2].startswith('Load')]
    *others, packing = (dict(step) for step in steps if step not in loading)
    if 'meta_keys' in packing:
        packing['meta_keys'] = (*packing['meta_keys'], 'flip', 'flip_direction')
    flips = [{'type': 'RandomFlip', 'prob': chance} for chance in (0.0, 1.0)]
    copies = {'type': 'TestTimeAug', 'transforms': [*([step] for step in others), flips, [packing]]}
    return [*loading, copies]


def predict_copies(detector: Any, batch: Mapping[str, Any]) -> list[DetDataSample]:
    """The detector's predictions on copies of images, one of each, which does not see how they are turned.

    mmdetection's cascades turn masks back before they are pasted into the image, and fail at it.
    """
    turns = [{key: value for key, value in sample.metainfo.items() if key in TURN} for sample in batch['data_samples']]
    hidden = [
        sample.new(metainfo={key: value for key, value in sample.metainfo.items() if key not in TURN})
        for sample in batch['data_samples']
    ]
    found = detector.test_step({**batch, 'data_samples': hidden})
    for sample, turn in zip(found, turns, strict=True):
        sample.set_metainfo(turn)
    return found


def merge_copies(samples: Sequence[DetDataSample], num_classes: int) -> DetDataSample:
    """The predictions on copies of one image, at its original size but turned as the copies are, as one.

    num_classes: of a panoptic map, in which it stands for nothing.
    """
    samples = sorted(samples, key=lambda sample: bool(sample.get('flip')))  # what is as the image is counts first
    merged = samples[0].new()
    if 'pred_instances' in merged:
        H, W = merged.ori_shape[:2]
        views = [View(np.array([0, 0, W, H]), instances_turned_back(sample)) for sample in samples]
        merged.pred_instances = as_data(merge_views(views), (H, W), merged.pred_instances.bboxes.device)
    if 'pred_panoptic_seg' in merged:
        maps = [turned_back(sample, sample.pred_panoptic_seg.sem_seg.squeeze(0)) for sample in samples]
        voted = merge_maps([map_.cpu().numpy() for map_ in maps], num_classes)
        merged.pred_panoptic_seg = PixelData(sem_seg=torch.from_numpy(voted)[None].to(maps[0].device))
    return merged


def instances_turned_back(sample: DetDataSample) -> Instances:
    """The instances of a copy, in the coordinates of the image."""
    found = sample.pred_instances
    boxes, scores, labels = (found[key].cpu().numpy() for key in ('bboxes', 'scores', 'labels'))
    H, W = sample.ori_shape[:2]
    for axis in turned_axes(sample):
        side, (low, high) = (W, (0, 2)) if axis == -1 else (H, (1, 3))
        boxes = boxes.copy()
        boxes[:, [low, high]] = side - boxes[:, [high, low]]
    masks = None
    if 'masks' in found:
        masks = [encoded(mask) for mask in turned_back(sample, torch.as_tensor(found.masks)).cpu().numpy()]
    attributes = found.attributes.cpu().numpy() if 'attributes' in found else None
    return Instances(boxes, scores, labels, masks, attributes)


def turned_axes(sample: DetDataSample) -> tuple[int, ...]:
    return AXES[sample.get('flip_direction') or 'horizontal'] if sample.get('flip') else ()


def turned_back(sample: DetDataSample, maps: torch.Tensor) -> torch.Tensor:
    """Maps (..., H, W) of a copy as they are in the image."""
    return maps.flip(turned_axes(sample))


def as_data(found: Instances, size: tuple[int, int], device: torch.device) -> InstanceData:
    """Instances as mmdetection has them."""
    data = InstanceData(**{key: torch.from_numpy(getattr(found, key)).to(device) for key in ('scores', 'labels')})
    data.bboxes = torch.from_numpy(found.boxes).to(device)
    if found.attributes is not None:
        data.attributes = torch.from_numpy(found.attributes).to(device)
    if found.masks is not None:
        whole = [torch.from_numpy(rle.decode(mask)).bool() for mask in found.masks]
        data.masks = (
            torch.stack(whole).to(device) if whole else torch.zeros((0, *size), dtype=torch.bool, device=device)
        )
    return data


def merge_maps(maps: Sequence[np.ndarray], nothing: int) -> np.ndarray:
    """The panoptic map (H, W) on which copies of an image agree; ids are class + 1000 * instance, or `nothing`.

    Kept are segments that more than half of the copies show. A pixel is of the one that most copies see there, of none
    where most see none, and of the earliest copy's choice where as many make another.
    """
    numbered, ids = number_alike(maps, nothing)
    shown = np.bincount(np.concatenate([np.unique(one) for one in numbered]), minlength=len(ids))
    kept = (2 * shown > len(maps)) | (ids == nothing)
    votes = np.stack([kept[one] * sum(one == other for other in numbered) for one in numbered])  # (L, H, W)
    chosen = np.take_along_axis(np.stack(numbered), votes.argmax(0)[None], 0)[0]
    return np.where(votes.max(0) > 0, ids[chosen], nothing)


def number_alike(maps: Sequence[np.ndarray], nothing: int) -> tuple[list[np.ndarray], np.ndarray]:
    """The maps with one number for all segments that are one, 0 for nothing, and the id of each number.

    Things are one where they are of one class and share more than half of their union; stuff of a class is.
    """
    numbered: list[np.ndarray] = []
    ids = [nothing]
    for map_ in maps:
        own, places = np.unique(map_, return_inverse=True)
        numbers = []
        for id_ in own.tolist():
            number = number_of(id_, map_, numbered, ids)
            if number is None:
                number = len(ids)
                ids.append(id_ % INSTANCE_OFFSET + INSTANCE_OFFSET * number * (id_ >= INSTANCE_OFFSET))
            numbers.append(number)
        numbered.append(np.array(numbers)[places.reshape(map_.shape)])
    return numbered, np.array(ids, np.int32)


def number_of(id_: int, map_: np.ndarray, earlier: Sequence[np.ndarray], ids: Sequence[int]) -> int | None:
    """The number in earlier maps of the segment that one of `map_` is one with; None where there is none."""
    if id_ < INSTANCE_OFFSET:  # stuff, or nothing
        return ids.index(id_) if id_ in ids else None
    mask = map_ == id_
    for other in earlier:
        shared = np.bincount(other[mask])
        number = int(shared.argmax())
        union = mask.sum() + (other == number).sum() - shared[number]
        alike = ids[number] >= INSTANCE_OFFSET and ids[number] % INSTANCE_OFFSET == id_ % INSTANCE_OFFSET
        if alike and 2 * shared[number] > union:
            return number
    return None
