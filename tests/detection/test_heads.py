"""Each detection head takes a training step and predicts, on images of uneven sizes, one of them without objects."""

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData

from denseformer.engine.config import load_config

SMALL = {
    'backbone.arch': dict(_delete_=True, width=32, depths=(1, 1, 1, 1), heads=(1, 2, 4, 8), mlp_ratio=2),
    'backbone.dilations': 'none',
    'pyramid': 32,
    'num_classes': 3,
}


def picture(height: int, width: int, boxes: list[list[int]]):
    """An image and what it shows: (3, H, W) uint8, a sample with one instance per box, filled, of class 1."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks

    masks = np.zeros((len(boxes), height, width), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = 1
    sample = DetDataSample(
        metainfo=dict(img_shape=(height, width), ori_shape=(height, width), scale_factor=(1.0, 1.0), img_id=0)
    )
    sample.gt_instances = InstanceData(
        bboxes=HorizontalBoxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)),
        labels=torch.ones(len(boxes), dtype=torch.long),
        masks=BitmapMasks(masks, height, width),
    )
    return torch.randint(0, 255, (3, height, width), dtype=torch.uint8), sample


@pytest.mark.parametrize('head', ['mask_rcnn', 'cascade_mask_rcnn'])
def test_trains_and_predicts(head):
    torch.manual_seed(0)
    config = load_config(f'configs/{head}_dinat_coco.py', SMALL)
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model)
    pictures = [picture(97, 75, [[10, 20, 60, 80], [30, 5, 31, 6]]), picture(64, 120, [])]
    batch = {'inputs': [image for image, _ in pictures], 'data_samples': [sample for _, sample in pictures]}

    losses = model(**model.data_preprocessor(batch, training=True), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total)
    silent = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert silent == []

    model.eval()
    with torch.no_grad():
        found = model(**model.data_preprocessor(batch), mode='predict')
    for sample, (image, _) in zip(found, pictures, strict=True):
        instances = sample.pred_instances
        assert instances.masks.shape == (len(instances), *image.shape[1:])
        assert instances.labels.lt(3).all()
