"""RT-DETR: the authors' outputs and names, learning with and without objects, boxes of padded batches, its loss."""

import pytest
import refkit
import torch
import torch.nn.functional as F
from learning import learn, objects
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from denseformer.config.loading import load_config
from denseformer.network import on_meta
from denseformer.registry import MODELS

PARAMETERS = {
    'rtdetr_resnet18_coco': 20.2,
    'rtdetr_resnet34_coco': 31.4,
    'rtdetr_resnet50_coco': 42.9,
    'rtdetr_resnet101_coco': 76.7,
}
"""In millions; the authors have 20, 31, 42 and 76, without the norms that they keep."""


@pytest.fixture(autouse=True)
def default_scope():
    init_default_scope('mmdet')


def build(**options) -> nn.Module:
    small = {
        'backbone.arch': dict(width=8, depths=(1, 1, 1, 1)),
        'backbone.pretrained': None,
        'pyramid': 64,
        'width': 64,
        'decoder_layers': 2,
        'feedforward': 64,
        'num_queries': 20,
        'num_classes': 6,
        'model.neck.feedforward': 64,
        'model.neck.expansion': 0.5,
        'multiscale': [],
    }
    model = MODELS.build(load_config('configs/rtdetr_convnext_coco.py', {**small, **options}).model)
    model.init_weights()
    return model


def images(height: int, width: int) -> list[Tensor]:
    found = [torch.full((3, height, width), 40, dtype=torch.uint8) for _ in range(2)]
    found[0][:, 8:40, 16:56] = 200
    return found


def test_parts_behind_the_backbone_agree_with_the_authors_code_under_the_authors_names():
    model = build()
    model.backbone = nn.Identity()

    def outputs(model: nn.Module, image: Tensor) -> list[Tensor]:
        sides = [(16, 8), (32, 16), (64, 32)]
        shapes = [(1, channels, *(side // stride for side in image.shape[2:])) for channels, stride in sides]
        runs = [dict(input=list(shape), seed=100 + i, kind='normal') for i, shape in enumerate(shapes)]
        levels = model.neck([refkit.make_input(run) for run in runs])
        states = model.forward_transformer(levels)
        scores, boxes = model.bbox_head(states['hidden_states'], states['references'])
        return [*levels, scores[-1], boxes[-1]]

    assert refkit.check(model, 'rtdetr/behind_backbone', outputs) < 1e-4


def test_resnets_take_the_names_of_the_authors():
    network = MODELS.build(dict(type='denseformer.ResNetVD', depth=50))
    official = {
        'conv1.conv1_3.conv.weight': torch.full((64, 32, 3, 3), 1.0),
        'conv1.conv1_2.norm.bias': torch.full((32,), 2.0),
        'res_layers.0.blocks.0.short.norm.bias': torch.full((256,), 3.0),
        'res_layers.1.blocks.0.short.conv.norm.bias': torch.full((512,), 4.0),
        'res_layers.1.blocks.0.short.conv.conv.weight': torch.full((512, 256, 1, 1), 5.0),
        'res_layers.3.blocks.2.branch2c.norm.bias': torch.full((2048,), 6.0),
    }
    assert not network.load_state_dict(official, strict=False).unexpected_keys
    assert (network.stem[6].weight == 1).all()
    assert (network.stem[4].bias == 2).all()
    assert (network.layer1[0].downsample[2].bias == 3).all()
    assert (network.layer2[0].downsample[2].bias == 4).all()
    assert (network.layer2[0].downsample[1].weight == 5).all()
    assert (network.layer4[2].bn3.bias == 6).all()


@pytest.mark.parametrize('config', PARAMETERS)
def test_has_as_many_parameters_as_the_authors_detector(config):
    with on_meta():
        model = MODELS.build(load_config(f'configs/{config}.py').model)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(PARAMETERS[config], abs=0.05)


def test_learns_an_image_with_an_object_and_one_without():
    torch.manual_seed(0)
    model = build()
    samples = [objects(64, 64, [[16, 8, 56, 40]], [1]), objects(64, 64, [], [])]
    batch = model.data_preprocessor(dict(inputs=images(64, 64), data_samples=samples), training=True)
    totals = learn(model, batch, steps=12, rate=2e-3)
    assert min(totals[-3:]) < 0.75 * totals[0]
    assert all(p.grad is not None for name, p in model.named_parameters() if not name.startswith('backbone.'))
    assert batch['data_samples'][0].img_shape == (64, 64)
    parts = {'loss_cls', 'd0.loss_bbox', 'enc_loss_iou', 'dn_loss_cls', 'd0.dn_loss_bbox'}
    assert parts <= set(model(**batch, mode='loss'))


def test_images_without_an_object_train_all_parameters():
    model = build()
    samples = [objects(64, 64, [], []) for _ in range(2)]
    batch = model.data_preprocessor(dict(inputs=images(64, 64), data_samples=samples), training=True)
    total, _ = model.parse_losses(model(**batch, mode='loss'))
    total.backward()
    assert total.isfinite()
    missing = [n for n, p in model.named_parameters() if p.grad is None and not n.startswith('backbone.')]
    assert missing == []


@torch.no_grad()
def test_boxes_lie_in_the_images_whatever_the_padding_of_their_batch():
    model = build().eval()
    shapes = [(50, 90), (64, 40)]
    inputs = [torch.randint(0, 255, (3, *shape), dtype=torch.uint8) for shape in shapes]
    batch = model.data_preprocessor(dict(inputs=inputs, data_samples=[objects(*shape, [], []) for shape in shapes]))
    assert batch['inputs'].shape[2:] == (64, 96)
    found = model(**batch, mode='predict')
    for each, (height, width) in zip(found, shapes, strict=True):
        boxes = each.pred_instances.bboxes
        assert each.img_shape == (height, width)
        assert (boxes >= 0).all()
        assert (boxes <= torch.tensor([width, height, width, height])).all()


def test_classes_learn_the_overlap_of_their_boxes():
    loss = MODELS.build(dict(type='denseformer.QualityVarifocalLoss', loss_weight=2.0))
    logits = torch.randn(3, 4, requires_grad=True)
    labels, overlaps = torch.tensor([2, 4, 0]), torch.tensor([0.7, 0.0, 0.3])
    found = loss(logits, (labels, overlaps), torch.tensor([1.0, 1.0, 0.5]), avg_factor=4.0)
    total = torch.tensor(0.0)
    for i, (label, overlap, weight) in enumerate(zip([2, None, 0], [0.7, 0.0, 0.3], [1.0, 1.0, 0.5], strict=True)):
        for k in range(4):
            p = logits[i, k].detach().sigmoid()
            importance, wanted = (overlap, overlap) if k == label else (0.75 * p**2, 0.0)
            target = torch.tensor(wanted)
            total = total + weight * importance * F.binary_cross_entropy_with_logits(logits[i, k].detach(), target)
    assert found.item() == pytest.approx(2 * total.item() / 4, rel=1e-5)
    found.backward()
    assert logits.grad.isfinite().all()


def test_more_levels_than_maps_are_refused():
    with pytest.raises(ValueError, match='num_outs=3'):
        MODELS.build(dict(type='denseformer.HybridEncoder', in_channels=(8, 16)))
