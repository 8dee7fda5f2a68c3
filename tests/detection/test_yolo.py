"""YOLOv8's head and Mamba YOLO around it: sizes, the authors' names, assignment, and a detector that learns."""

import pytest
import torch
from learning import objects
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from torch import nn

from denseformer.config.loading import load_config
from denseformer.network import on_meta
from denseformer.registry import MODELS

PARAMETERS = {'mamba_yolo_coco': 6_131_688, 'mamba_yolo_base_coco': 21_827_984, 'mamba_yolo_large_coco': 57_631_008}
"""Of the authors' networks, without the 16 numbers of the bins."""
BACKBONES = {
    'MambaYOLO': dict(type='denseformer.MambaYOLO', arch=dict(widths=(8, 8, 16, 32), depths=(1, 1, 1, 1))),
    'ConvNeXt': dict(type='denseformer.ConvNeXt', arch=dict(width=8, depths=(1, 1, 1, 1))),
}
WIDTHS = {'MambaYOLO': (8, 8, 16, 32), 'ConvNeXt': (8, 16, 32, 64)}


@pytest.fixture(autouse=True)
def default_scope():
    init_default_scope('mmdet')


def build(name: str) -> nn.Module:
    return MODELS.build(
        ConfigDict(
            type='denseformer.MambaYOLODetector',
            data_preprocessor=dict(type='DetDataPreprocessor', std=[255.0] * 3, mean=[0.0] * 3, pad_size_divisor=32),
            backbone=BACKBONES[name],
            neck=dict(type='denseformer.MambaYOLOPAFPN', in_channels=WIDTHS[name]),
            bbox_head=dict(type='denseformer.YOLOv8Head', num_classes=2, in_channels=WIDTHS[name][1:]),
            train_cfg=dict(assigner=dict(type='TaskAlignedAssigner', topk=10)),
            test_cfg=dict(
                score_thr=0.0, nms_pre=50, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0, max_per_img=10
            ),
        )
    )


@pytest.mark.parametrize('config', PARAMETERS)
def test_has_as_many_parameters_as_the_authors_detector(config):
    with on_meta():
        model = MODELS.build(load_config(f'configs/{config}.py').model)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[config]


@pytest.mark.parametrize('name', BACKBONES)
def test_learns_an_image_with_an_object_and_one_without_and_detects_at_any_size(name):
    torch.manual_seed(0)
    model = build(name)
    images = [torch.full((3, 64, 64), 40, dtype=torch.uint8) for _ in range(2)]
    images[0][:, 8:40, 16:56] = 200
    samples = [objects(64, 64, [[16, 8, 56, 40]], [1]), objects(64, 64, [], [])]
    batch = model.data_preprocessor(dict(inputs=images, data_samples=samples), training=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    boxes, classes = [], []
    for _ in range(15):
        losses = model(**batch, mode='loss')
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        boxes.append(losses['loss_bbox'].item() + losses['loss_dfl'].item())
        classes.append(losses['loss_cls'].item())
    assert boxes[-1] < 0.6 * max(boxes)
    assert classes[-1] < 0.95 * max(classes)  # an object's cells count little while its boxes are bad
    assert all(p.grad is not None for p in (*model.neck.parameters(), *model.bbox_head.parameters()))

    model.eval()
    parts = [image[:, :50, :60] for image in images]
    batch = model.data_preprocessor(dict(inputs=parts, data_samples=[objects(50, 60, [], [])] * 2))
    with torch.no_grad():
        found = [each.pred_instances for each in model(**batch, mode='predict')]
    assert all(each.bboxes.shape == (len(each.scores), 4) and len(each.scores) for each in found)
    assert all((each.bboxes >= 0).all() and (each.bboxes <= torch.tensor([60, 50, 60, 50])).all() for each in found)


def test_parts_of_the_detector_load_under_the_authors_names():
    model = build('MambaYOLO')
    official = {
        'model.3.proj_conv.0.bias': torch.full((8,), 1.0),
        'model.11.in_proj.1.bias': torch.full((16,), 2.0),
        'model.11.ss2d.0.A_logs': torch.arange(4.0).repeat_interleave(32)[:, None].repeat(1, 16),
        'model.14.lsblock.fc2.bias': torch.full((8,), 3.0),
        'model.15.bn.bias': torch.full((8,), 4.0),
        'model.20.mlp.fc2.bias': torch.full((32,), 5.0),
        'model.21.cv2.1.0.conv.weight': torch.full((64, 16, 3, 3), 6.0),
        'model.21.cv3.2.2.bias': torch.full((2,), 7.0),
        'model.21.dfl.conv.weight': torch.arange(16.0).view(1, 16, 1, 1),
    }
    assert not model.load_state_dict(official, strict=False).unexpected_keys
    assert (model.backbone.stages[1].blocks[0].proj.conv.bias == 1).all()
    neck, head = model.neck, model.bbox_head
    assert (neck.top_down[0].proj.norm.bias == 2).all()
    assert (neck.top_down[0].attn[0].scans[3].A_log == 3).all()
    assert (neck.top_down[1].local.fc1.bias == 3).all()
    assert (neck.downs[0].norm.bias == 4).all()
    assert (neck.bottom_up[1].mlp.fc2.bias == 5).all()
    assert (head.boxes[1][0].conv.weight == 6).all()
    assert (head.classes[2][-1].bias == 7).all()
    again = build('MambaYOLO')
    assert not any(again.load_state_dict(model.state_dict()))


def test_the_best_cell_of_an_object_fits_it_as_well_as_its_box_overlaps():
    head = build('ConvNeXt').bbox_head
    cells = torch.tensor([[4.0, 4.0, 8.0, 8.0], [12.0, 4.0, 8.0, 8.0], [60.0, 60.0, 8.0, 8.0]])
    boxes = torch.tensor([[0.0, 0.0, 16.0, 8.0], [0.0, 0.0, 16.0, 10.0], [0.0, 0.0, 16.0, 8.0]])
    scores = torch.tensor([[0.0, 0.25], [0.0, 0.81], [0.0, 1.0]])
    corners, labels = torch.tensor([[0.0, 0.0, 16.0, 8.0]]), torch.tensor([1])
    at, which, fit = head.assign(cells, scores, boxes, corners, labels)
    assert at.tolist() == [0, 1]  # the last cell lies outside
    assert which.tolist() == [0, 0]
    agreement = torch.tensor([0.25**0.5, 0.81**0.5 * 0.8**6])
    torch.testing.assert_close(fit, agreement / agreement.max())


def test_levels_and_strides_must_be_as_many():
    with pytest.raises(ValueError, match='2 levels and 3 strides'):
        MODELS.build(dict(type='denseformer.YOLOv8Head', num_classes=2, in_channels=(8, 16)))
    with pytest.raises(ValueError, match='Three maps'):
        MODELS.build(dict(type='denseformer.MambaYOLOPAFPN', in_channels=(8, 16)))
