"""Images with objects, as detectors take them, and some steps of training on one batch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData
from torch import Tensor, nn

Boxes = Sequence[Sequence[int]]
"""Left, top, right, bottom of each."""


def picture(height: int, width: int, boxes: Boxes) -> Tensor:
    """A dark image (3, H, W) uint8, the i-th box of which is bright in channel i."""
    image = torch.full((3, height, width), 40, dtype=torch.uint8)
    for channel, (left, top, right, bottom) in zip(image, boxes, strict=False):
        channel[top:bottom, left:right] = 220
    return image


def objects(height: int, width: int, boxes: Boxes, labels: Sequence[int], *, scale: float = 1.0) -> DetDataSample:
    """A sample of objects whose masks fill their boxes, of an image that was resized to `scale` times its size."""
    size = (height, width)
    original = (round(height / scale), round(width / scale))
    sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=original, scale_factor=(scale, scale), img_id=0))
    masks = np.zeros((len(boxes), *size), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = 1
    sample.gt_instances = InstanceData(
        bboxes=HorizontalBoxes(torch.tensor(boxes, dtype=torch.float32).view(-1, 4)),
        labels=torch.tensor(labels, dtype=torch.long),
        masks=BitmapMasks(masks, *size),
    )
    return sample


def learn(model: nn.Module, batch: Mapping[str, Any], *, steps: int, rate: float) -> list[float]:
    """The losses of `steps` steps on a batch that the model's preprocessor made; gradients of the last one are left."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    totals = []
    for _ in range(steps):
        total, _ = model.parse_losses(model(**batch, mode='loss'))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    return totals
