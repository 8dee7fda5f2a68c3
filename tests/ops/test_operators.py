"""Operators against their definitions, and at the edges that datasets have."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from denseformer.ops import dispatch
from denseformer.ops.deform_attention import attention_by_samples, multi_scale_deformable_attention
from denseformer.ops.deform_conv import deform_conv2d
from denseformer.ops.nms import nms, nms_match, overlaps, soft_nms
from denseformer.ops.roi_align import pool, roi_align, roi_align_backward, roi_align_backward_max


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


@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
def test_soft_nms_gives_each_box_once(method):
    torch.manual_seed(0)
    boxes = torch.cat([random_boxes(30), random_boxes(5).round()[:, [0, 1, 0, 1]]])  # some are flat
    dets, inds = soft_nms(boxes.repeat(2, 1), torch.rand(70), 0.3, min_score=0.0, method=method)
    assert sorted(inds.tolist()) == list(range(70))
    assert dets.isfinite().all()
    assert (dets[:-1, 4] >= dets[1:, 4]).all()


@pytest.mark.parametrize('pool_mode', ['avg', 'max'])
def test_the_gradient_of_roi_align_without_boxes_is_zero(pool_mode):
    from mmcv.ops import roi_align

    feature = torch.randn(2, 3, 9, 11, requires_grad=True)
    roi_align(feature, torch.zeros(0, 5), (2, 3), 1.0, 0, pool_mode, True).sum().backward()
    assert (feature.grad == 0).all()


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
    pooled, at_y, at_x = pool(feature, rois, (4, 3), 1.0, 0, 'max', True, places=True)
    grad = torch.randn_like(pooled)
    (expected,) = torch.autograd.grad(pooled, feature, grad)
    assert torch.allclose(roi_align_backward_max(grad, rois, at_y, at_x, tuple(feature.shape)), expected, atol=1e-5)


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('pool_mode', ['avg', 'max'])
def test_roi_align_is_differentiable(pool_mode, aligned):
    torch.manual_seed(0)
    feature = torch.randn(1, 2, 6, 5, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0, 0.3, 0.4, 3.1, 4.2], [0, 1.2, 0.7, 1.9, 5.3]], dtype=torch.float64)
    assert gradcheck(lambda feature: roi_align(feature, rois, (2, 2), 1.0, 2, pool_mode, aligned), feature)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_as_good_as_its_inputs(dtype):
    from mmcv.ops import deform_conv2d, roi_align
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

    torch.manual_seed(0)
    shapes, starts = torch.tensor([[5, 7], [3, 2]]), torch.tensor([0, 35])
    rois = torch.tensor([[0, 1.0, 2, 5, 4], [0, 3, 0, 6, 4]])
    operators = {
        lambda x, rois: roi_align(x, rois, 3): [torch.randn(1, 4, 5, 320), rois],
        lambda x, offset, weight: deform_conv2d(x, offset, weight): [
            *(torch.randn(1, 4, 3, 400), torch.randn(1, 18, 1, 398).round(), torch.randn(2, 4, 3, 3))
        ],
        lambda v, at, weights: MultiScaleDeformableAttnFunction.apply(v, shapes, starts, at, weights, 64): [
            *(torch.randn(1, 41, 2, 4), torch.rand(1, 6, 2, 2, 5, 2), torch.rand(1, 6, 2, 2, 5))
        ],
    }
    for operator, inputs in operators.items():
        halves = [tensor.to(dtype).requires_grad_(tensor is not rois) for tensor in inputs]
        singles = [tensor.detach().float().requires_grad_(tensor.requires_grad) for tensor in halves]
        out, expected = operator(*halves), operator(*singles)
        assert out.dtype == dtype
        assert torch.allclose(out.float(), expected, rtol=0.05, atol=0.05)
        (grad,) = torch.autograd.grad(out, halves[:1], torch.ones_like(out))
        (wanted,) = torch.autograd.grad(expected, singles[:1], torch.ones_like(expected))
        assert torch.allclose(grad.float(), wanted, rtol=0.05, atol=0.1)


@pytest.mark.parametrize('modulated', [True, False])
def test_deformable_convolution_is_differentiable(modulated):
    torch.manual_seed(0)
    shapes = [(1, 4, 5, 4), (1, 16, 2, 2), (2, 2, 2, 2), (2,), (1, 8, 2, 2)]
    inputs = [torch.rand(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    inputs = inputs if modulated else inputs[:4]
    options = dict(stride=(2, 2), padding=(0, 1), groups=2, deform_groups=2)
    assert gradcheck(lambda *tensors: deform_conv2d(*tensors, **options), inputs)


def test_deformable_attention_is_differentiable():
    torch.manual_seed(0)
    shapes = [(1, 16, 2, 3), (1, 2, 2, 2, 2, 2), (1, 2, 2, 2, 2)]
    inputs = [torch.rand(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert gradcheck(lambda v, at, w: multi_scale_deformable_attention(v, [(3, 4), (2, 2)], at, w), inputs)


def test_deformable_convolution_without_offsets_is_a_convolution():
    x, weight, bias = torch.randn(2, 4, 9, 7), torch.randn(6, 2, 3, 3), torch.randn(6)
    expected = F.conv2d(x, weight, bias, stride=2, padding=(1, 2), dilation=2, groups=2)
    offset = torch.zeros(2, 18, *expected.shape[2:])
    out = deform_conv2d(x, offset, weight, bias, stride=(2, 2), padding=(1, 2), dilation=(2, 2), groups=2)
    assert torch.allclose(out, expected, atol=1e-5)


def test_deformable_attention_is_its_definition():
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

    torch.manual_seed(0)
    shapes = torch.tensor([[5, 7], [3, 2]])
    value, locations = torch.randn(2, 41, 3, 4), torch.rand(2, 6, 3, 2, 5, 2) * 1.4 - 0.2
    weights = torch.rand(2, 6, 3, 2, 5)
    inputs = [tensor.requires_grad_() for tensor in (value, locations, weights)]
    expected = attention_by_samples(value, shapes.tolist(), locations, weights)
    assert torch.allclose(
        multi_scale_deformable_attention(value, shapes.tolist(), locations, weights), expected, atol=1e-5
    )
    out = MultiScaleDeformableAttnFunction.apply(value, shapes, torch.tensor([0, 35]), locations, weights, 64)
    grad = torch.randn_like(out)
    for got, wanted in zip(
        torch.autograd.grad(out, inputs, grad), torch.autograd.grad(expected, inputs, grad), strict=True
    ):
        assert torch.allclose(got, wanted, atol=1e-4)


def test_mmcvs_module_attends_with_ours_on_cpu(monkeypatch):
    from mmcv.ops import MultiScaleDeformableAttention, multi_scale_deform_attn

    torch.manual_seed(0)
    module = MultiScaleDeformableAttention(
        embed_dims=8, num_heads=2, num_levels=2, num_points=3, batch_first=True
    ).eval()
    torch.nn.init.normal_(module.sampling_offsets.weight)
    shapes = torch.tensor([[5, 7], [3, 2]])
    query, places = torch.randn(2, 41, 8), torch.rand(2, 41, 2, 2)
    options = dict(reference_points=places, spatial_shapes=shapes, level_start_index=torch.tensor([0, 35]))

    def by_samples(value, shapes, locations, weights):
        return attention_by_samples(value, shapes.tolist(), locations, weights)

    monkeypatch.setattr(multi_scale_deform_attn, 'multi_scale_deformable_attn_pytorch', by_samples)
    expected = module(query, **options)
    dispatch.patch_mmcv_deform_attention()
    assert multi_scale_deform_attn.multi_scale_deformable_attn_pytorch is not by_samples
    assert torch.allclose(module(query, **options), expected, atol=1e-5)


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


def test_point_sampling_is_bilinear_between_the_centres_of_cells():
    from mmcv.ops import point_sample

    rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(5.0), indexing='ij')
    ramps = torch.stack([columns, rows])[None]  # a cell's value is its place
    points = torch.rand(1, 40, 2, generator=torch.Generator().manual_seed(0))  # x and y in 0 .. 1
    inner = (points * torch.tensor([5, 4]) - 0.5).clamp(min=torch.zeros(2), max=torch.tensor([4.0, 3.0]))
    sampled = point_sample(ramps, points, padding_mode='border')
    assert torch.allclose(sampled[0].T, inner[0], atol=1e-5)
    assert torch.equal(point_sample(ramps, points[:, :, None])[..., 0], point_sample(ramps, points))


def test_points_drawn_by_uncertainty_lie_in_the_picture_and_are_mostly_uncertain():
    from mmdet.models.utils import get_uncertain_point_coords_with_randomness

    torch.manual_seed(0)
    logits = torch.linspace(-6, 6, 64).expand(2, 1, 64, 64)  # certain at both sides, uncertain in the middle
    labels = torch.zeros(2, dtype=torch.long)
    points = get_uncertain_point_coords_with_randomness(logits, labels, 200, 3.0, 0.75)
    assert points.shape == (2, 200, 2)
    assert 0 <= points.min() <= points.max() <= 1
    assert ((points[..., 0] - 0.5).abs() < 0.2).float().mean() > 0.75


def test_a_background_row_is_negative_for_every_class():
    from mmcv.ops import sigmoid_focal_loss

    logits = torch.randn(1, 3)
    loss = sigmoid_focal_loss(logits, torch.tensor([3]), 2.0, 0.25, None, 'none')
    assert torch.allclose(loss, -0.75 * logits.sigmoid() ** 2 * F.logsigmoid(-logits))


def test_an_operator_that_nobody_has_is_named():
    from mmcv.ops import CARAFE

    with pytest.raises(NotImplementedError, match='carafe_forward'):
        CARAFE(3, 1, 2)(torch.randn(1, 4, 5, 5), torch.rand(1, 9, 10, 10))


@pytest.fixture
def torchvision(monkeypatch):
    """Stands for torchvision, whose functions have these arguments: what is handed over comes back as from ours."""
    called = set()

    def roi_align(input, boxes, output_size, spatial_scale=1.0, sampling_ratio=-1, aligned=False):
        called.add('roi_align')
        assert input.dtype == boxes.dtype == torch.float32
        return pool(input, boxes, output_size, spatial_scale, max(sampling_ratio, 0), 'avg', aligned)[0]

    def convolve(input, offset, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), mask=None):
        called.add('deform_conv2d')
        groups, deform_groups = input.shape[1] // weight.shape[1], offset.shape[1] // 2 // weight[0, 0].numel()
        settings = dict(stride=stride, padding=padding, dilation=dilation, groups=groups, deform_groups=deform_groups)
        return deform_conv2d(input, offset, weight, bias, mask, **settings)

    def suppress(boxes, scores, iou_threshold):
        called.add('nms')
        return nms(boxes, scores, iou_threshold)

    kernels = SimpleNamespace(roi_align=roi_align, deform_conv2d=convolve, nms=suppress)
    monkeypatch.setattr(dispatch, 'torchvision_ops', lambda: kernels)
    return called


def test_what_torchvision_can_do_is_left_to_it(torchvision):
    torch.manual_seed(0)
    feature, boxes = torch.randn(2, 3, 12, 10), random_boxes(6, 8.0)
    rois = torch.cat([torch.arange(6.0)[:, None] % 2, boxes], 1)
    for mode in ('avg', 'max'):
        (out,) = dispatch.roi_pool(feature, rois, (4, 3), 0.5, 0, mode, True)
        assert torch.equal(out, roi_align(feature, rois, (4, 3), 0.5, 0, mode))
    assert dispatch.roi_pool(feature.bfloat16(), rois, (4, 3), 0.5, 0, 'avg', True)[0].dtype == torch.bfloat16
    grad = torch.randn(6, 3, 4, 3)
    spread = dispatch.roi_align_backward(grad, rois, (2, 3, 12, 10), 0.5, 0, True)
    assert torch.allclose(spread, roi_align_backward(grad, rois, (2, 3, 12, 10), 0.5, 0, True), atol=1e-5)
    x, offset, weight = torch.randn(1, 4, 9, 7), torch.randn(1, 36, 5, 4), torch.randn(6, 2, 3, 3)
    settings = dict(stride=(2, 2), padding=(1, 1), groups=2, deform_groups=2)
    assert torch.equal(
        dispatch.deform_conv2d(x, offset, weight, **settings), deform_conv2d(x, offset, weight, **settings)
    )
    assert torch.equal(dispatch.nms(boxes, boxes[:, 0], 0.5), nms(boxes, boxes[:, 0], 0.5))
    assert torchvision == {'roi_align', 'deform_conv2d', 'nms'}
    torchvision.clear()
    assert torch.equal(dispatch.nms(boxes, boxes[:, 0], 0.5, offset=1), nms(boxes, boxes[:, 0], 0.5, offset=1))
    assert not torchvision


def test_a_torchvision_that_does_not_fit_is_as_none(monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name.partition('.')[0] == 'torchvision':
                raise RuntimeError('operator torchvision::nms does not exist')

    monkeypatch.setattr(sys, 'meta_path', [Broken(), *sys.meta_path])
    assert dispatch.torchvision_ops.__wrapped__() is None


def test_says_who_provides_which():
    assert set(dispatch.providers().values()) <= {'mmcv', 'torchvision', 'denseformer'}
    assert 'nms' in dispatch.describe()


def test_detectors_import_quietly_and_denseformer_stays_cheap():
    program = (
        'import sys, denseformer; heavy = {"mmcv", "mmdet", "mmseg", "torchvision"} & set(sys.modules);'
        'assert not heavy, heavy; import mmdet.models, mmseg.models'
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'Line NMS' not in done.stderr + done.stdout
    assert 'Fail to import' not in done.stderr
