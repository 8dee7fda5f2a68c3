"""Results of mmcv's operators without a compiler, against those of the compiled ones."""

import numpy as np
import pytest
import torch
from refkit import deviation, load_reference, make_input

CASES = load_reference('ops/mmcv_ops')['cases']


def cases(name: str):
    found = [case for case in CASES if case['op'] == name]
    assert found
    return pytest.mark.parametrize('case', found, ids=lambda case: '-'.join(map(str, settings(case).values())))


def settings(case: dict) -> dict:
    return {
        key: value for key, value in case.items() if key not in ('op', 'seed') and isinstance(value, (int, float, str))
    }


def boxes_and_scores(n: int, seed: int, size: float = 200.0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    corner, sides = rng.random((n, 2)) * size, rng.random((n, 2)) * size / 3 + 1
    boxes = np.concatenate([corner, corner + sides], 1)
    return torch.from_numpy(boxes.astype(np.float32)), torch.from_numpy(rng.random(n).astype(np.float32))


def random(shape, seed: int, kind: str = 'normal') -> torch.Tensor:
    return make_input({'input': shape, 'seed': seed, 'kind': kind})


@cases('nms')
def test_nms(case):
    from mmcv.ops import nms

    _, inds = nms(*boxes_and_scores(case['n'], case['seed']), case['iou_threshold'], case['offset'])
    assert inds.tolist() == case['inds']


@cases('soft_nms')
def test_soft_nms(case):
    from mmcv.ops import soft_nms

    names = ('iou_threshold', 'sigma', 'min_score', 'method')
    dets, inds = soft_nms(*boxes_and_scores(case['n'], case['seed']), **{name: case[name] for name in names})
    listed = len(case['inds'])
    assert inds[:listed].tolist() == case['inds']
    assert dets[:listed, 4].numpy() == pytest.approx(np.array(case['scores']), abs=1e-5)


@cases('batched_nms')
def test_batched_nms(case):
    from mmcv.ops import batched_nms

    boxes, scores = boxes_and_scores(case['n'], case['seed'])
    classes = torch.from_numpy(np.random.default_rng(case['seed'] + 1000).integers(0, case['classes'], case['n']))
    _, inds = batched_nms(boxes, scores, classes, dict(type='nms', iou_threshold=case['iou_threshold']))
    assert inds.tolist() == case['inds']


@cases('roi_align')
def test_roi_align(case):
    from mmcv.ops import roi_align

    feature = random(case['input'], case['seed']).requires_grad_()
    boxes, _ = boxes_and_scores(case['rois'], case['seed'] + 7, case['size'])
    rois = torch.cat([torch.arange(len(boxes))[:, None] % 2, boxes], 1)
    names = ('output_size', 'spatial_scale', 'sampling_ratio', 'pool_mode', 'aligned')
    out = roi_align(feature, rois, *(case[name] for name in names))
    out.backward(random(out.shape, case['seed'] + 5))
    assert deviation([out, feature.grad], [case['output'], case['grad_input']]) < 2e-5
    assert torch.allclose(roi_align(feature.detach(), rois, *(case[name] for name in names)), out, atol=1e-6)


@cases('deform_conv2d')
def test_deform_conv(case):
    from mmcv.ops import deform_conv2d

    x, weight, offset, _, _ = convolution_inputs(case)
    out = deform_conv2d(x, offset, weight, *convolution_settings(case))
    out.backward(random(out.shape, case['seed'] + 5))
    got = [out, x.grad, weight.grad, offset.grad]
    expected = [case[name] for name in ('output', 'grad_input', 'grad_weight', 'grad_offset')]
    assert deviation(got, expected) < 2e-5


@cases('modulated_deform_conv2d')
def test_modulated_deform_conv(case):
    from mmcv.ops import modulated_deform_conv2d

    x, weight, offset, mask, bias = convolution_inputs(case)
    out = modulated_deform_conv2d(x, offset, mask, weight, bias, *convolution_settings(case))
    out.backward(random(out.shape, case['seed'] + 5))
    got = [out, x.grad, weight.grad, offset.grad, mask.grad, bias.grad]
    names = ('output', 'grad_input', 'grad_weight', 'grad_offset', 'grad_mask', 'grad_bias')
    assert deviation(got, [case[name] for name in names]) < 2e-5


def convolution_inputs(case: dict) -> tuple[torch.Tensor, ...]:
    seed, (height, width) = case['seed'], case['output']['shape'][2:]
    taps = 9 * case['deform_groups']
    inputs = (
        random([2, 6, 13, 15], seed),
        random([8, 3, 3, 3], seed + 1) / 5,
        random([2, 2 * taps, height, width], seed + 2),
        random([2, taps, height, width], seed + 3, 'unit'),
        random([8], seed + 4),
    )
    return tuple(tensor.requires_grad_() for tensor in inputs)


def convolution_settings(case: dict) -> tuple[int, ...]:
    return tuple(case[name] for name in ('stride', 'padding', 'dilation', 'groups', 'deform_groups'))
