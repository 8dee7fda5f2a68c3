"""Operators against their definitions, and at the edges that data sets have."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from denseformer.ops import choice
from denseformer.ops.deform_attention import multi_scale_deformable_attention
from denseformer.ops.deform_conv import deform_conv2d
from denseformer.ops.nms import nms, nms_match, overlaps, soft_nms
from denseformer.ops.roi_align import pool, roi_align, spread_maximum


def random_boxes(n: int, size: float = 100.0) -> torch.Tensor:
    corner = torch.rand(n, 2) * size
    return torch.cat([corner, corner + torch.rand(n, 2) * size / 3], 1)


def test_nms_keeps_what_no_better_box_covers():
    torch.manual_seed(0)
    boxes, scores = random_boxes(700), torch.rand(700)
    iou, kept = overlaps(boxes, boxes), []
    for i in scores.argsort(descending=True).tolist():
        if not any(iou[j, i] > 0.4 for j in kept):
            kept.append(i)
    assert nms(boxes, scores, 0.4).tolist() == kept


def test_nms_match_groups_partition_the_boxes():
    torch.manual_seed(0)
    boxes, scores = random_boxes(60), torch.rand(60)
    groups = nms_match(torch.cat([boxes, scores[:, None]], 1), 0.4)
    assert sorted(i for group in groups for i in group) == list(range(60))
    assert [group[0] for group in groups] == nms(boxes, scores, 0.4).tolist()


def test_no_boxes_and_flat_boxes():
    none, flat = torch.zeros(0, 4), torch.tensor([[3.0, 3, 3, 3], [3, 3, 3, 3]])
    assert nms(none, none[:, 0], 0.5).tolist() == []
    assert soft_nms(none, none[:, 0])[0].shape == (0, 5)
    assert nms_match(torch.zeros(0, 5), 0.5) == []
    assert nms(flat, torch.tensor([0.1, 0.2]), 0.5).tolist() == [1, 0]  # 0 / 0 overlaps nothing


@pytest.mark.parametrize('pool_mode', ['avg', 'max'])
def test_roi_align_without_boxes_and_of_boxes_of_every_size(pool_mode):
    torch.manual_seed(0)
    feature = torch.randn(2, 3, 9, 11, dtype=torch.float32)
    assert roi_align(feature, torch.zeros(0, 5), (2, 3), pool_mode=pool_mode).shape == (0, 3, 2, 3)
    rois = torch.tensor([[0, 2, 3, 2.5, 3.5], [1, -20, -30, 50, 60], [1, 0, 0, 11, 9], [0, 30, 30, 40, 40]]).float()
    together = roi_align(feature, rois, (2, 3), pool_mode=pool_mode)
    alone = torch.cat([roi_align(feature, roi[None], (2, 3), pool_mode=pool_mode) for roi in rois])
    assert torch.allclose(together, alone, atol=1e-6)
    assert (together[3] == 0).all()  # outside the map


def test_roi_align_of_a_whole_map_is_its_mean():
    feature = torch.randn(1, 4, 6, 8)
    out = roi_align(feature, torch.tensor([[0.0, 0, 0, 8, 6]]), (3, 4))
    assert torch.allclose(out, F.avg_pool2d(feature, 2), atol=1e-6)


def test_a_box_that_ends_before_it_begins_is_an_error():
    with pytest.raises(ValueError, match='x2 >= x1'):
        roi_align(torch.randn(1, 1, 5, 5), torch.tensor([[0.0, 4, 0, 2, 3]]), (2, 2))


def test_the_gradient_of_the_maximum_is_that_of_autograd():
    torch.manual_seed(0)
    feature = torch.randn(2, 3, 12, 10, requires_grad=True)
    rois = torch.cat([torch.tensor([[0.0], [1.0], [1.0]]), random_boxes(3, 8.0)], 1)
    pooled, at_y, at_x = pool(feature, rois, (4, 3), 1.0, 0, 'max', True)
    grad = torch.randn_like(pooled)
    (expected,) = torch.autograd.grad(pooled, feature, grad)
    assert torch.allclose(spread_maximum(grad, rois, at_y, at_x, tuple(feature.shape)), expected, atol=1e-5)


def test_deformable_convolution_without_offsets_is_a_convolution():
    x, weight, bias = torch.randn(2, 4, 9, 7), torch.randn(6, 2, 3, 3), torch.randn(6)
    expected = F.conv2d(x, weight, bias, stride=2, padding=(1, 2), dilation=2, groups=2)
    offset = torch.zeros(2, 18, *expected.shape[2:])
    out = deform_conv2d(x, offset, weight, bias, stride=(2, 2), padding=(1, 2), dilation=(2, 2), groups=2)
    assert torch.allclose(out, expected, atol=1e-5)


def test_deformable_attention_is_that_of_mmcv():
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction, multi_scale_deformable_attn_pytorch

    torch.manual_seed(0)
    shapes = torch.tensor([[5, 7], [3, 2]])
    value, locations = torch.randn(2, 41, 3, 4), torch.rand(2, 6, 3, 2, 5, 2) * 1.4 - 0.2
    weights = torch.rand(2, 6, 3, 2, 5)
    inputs = [tensor.requires_grad_() for tensor in (value, locations, weights)]
    expected = multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)
    assert torch.allclose(
        multi_scale_deformable_attention(value, shapes.tolist(), locations, weights), expected, atol=1e-5
    )
    out = MultiScaleDeformableAttnFunction.apply(value, shapes, torch.tensor([0, 35]), locations, weights, 64)
    grad = torch.randn_like(out)
    for got, wanted in zip(
        torch.autograd.grad(out, inputs, grad), torch.autograd.grad(expected, inputs, grad), strict=True
    ):
        assert torch.allclose(got, wanted, atol=1e-4)


@pytest.mark.parametrize('weight', [None, torch.tensor([1.0, 2.0, 0.5, 3.0])])
def test_focal_losses_are_their_formulas(weight):
    from mmcv.ops import sigmoid_focal_loss, softmax_focal_loss

    torch.manual_seed(0)
    logits, target = torch.randn(9, 4, dtype=torch.float64, requires_grad=True), torch.arange(9) % 4
    weight = None if weight is None else weight.double()
    rows = 1.0 if weight is None else weight[target][:, None]
    one_hot = F.one_hot(target, 4).double()
    agreement = torch.where(one_hot.bool(), logits.sigmoid(), 1 - logits.sigmoid())
    by_sigmoid = -(0.25 * one_hot + 0.75 * (1 - one_hot)) * (1 - agreement) ** 2 * agreement.log() * rows
    chosen = logits.softmax(1).gather(1, target[:, None])
    by_softmax = -0.25 * (1 - chosen) ** 2 * chosen.log() * rows
    for loss, expected in ((sigmoid_focal_loss, by_sigmoid), (softmax_focal_loss, by_softmax)):
        out = loss(logits, target, 2.0, 0.25, weight, 'sum')
        assert torch.allclose(out, expected.sum())
        assert torch.allclose(
            *(torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (out, expected.sum()))
        )


def test_a_background_row_is_negative_for_every_class():
    from mmcv.ops import sigmoid_focal_loss

    logits = torch.randn(1, 3)
    loss = sigmoid_focal_loss(logits, torch.tensor([3]), 2.0, 0.25, None, 'none')
    assert torch.allclose(loss, -0.75 * logits.sigmoid() ** 2 * F.logsigmoid(-logits))


def test_an_operator_that_nobody_has_is_named():
    from mmcv.ops import CARAFE

    with pytest.raises(NotImplementedError, match='carafe_forward'):
        CARAFE(3, 1, 2)(torch.randn(1, 4, 5, 5), torch.rand(1, 9, 10, 10))


def test_says_who_provides_which():
    assert set(choice.providers().values()) <= {'mmcv', 'torchvision', 'denseformer'}
    assert 'nms' in choice.describe()


def test_detectors_import_quietly_and_denseformer_stays_cheap():
    program = (
        'import sys, denseformer; heavy = {"mmcv", "mmdet", "mmseg", "torchvision"} & set(sys.modules);'
        'assert not heavy, heavy; import mmdet.models, mmseg.models'
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'Line NMS' not in done.stderr + done.stdout
    assert 'Fail to import' not in done.stderr
