"""Progressive training: patches grow, batches shrink, targets follow, and the iteration decides."""

import pytest
import torch
from mmengine.logging import MessageHub

from denseformer.registry import MODELS
from denseformer.restoration import RestorationSample

STAGES = [{'until': 10, 'batch': 4, 'patch': 8}, {'until': 20, 'batch': 1, 'patch': 16}]


@pytest.fixture
def at():
    hub = MessageHub.get_current_instance()
    yield lambda iteration: hub.update_info('iter', iteration)
    hub.runtime_info.pop('iter', None)


def preprocess(scale: int = 2, stages=STAGES):
    return MODELS.build({'type': 'denseformer.ProgressivePreprocessor', 'stages': stages, 'scale': scale})


def batch(count: int = 4, side: int = 20) -> dict:
    images = [torch.arange(side * side, dtype=torch.float32).view(1, side, side) / side**2 + i for i in range(count)]
    targets = [image.repeat_interleave(2, 1).repeat_interleave(2, 2) for image in images]
    return {'inputs': images, 'data_samples': [RestorationSample(gt_img=target) for target in targets]}


@pytest.mark.parametrize(('iteration', 'count', 'side'), [(0, 4, 8), (9, 4, 8), (10, 1, 16), (25, 1, 16)])
def test_the_iteration_decides_on_the_stage(at, iteration, count, side):
    at(iteration)
    out = preprocess()(batch(), training=True)
    assert out['inputs'].shape == (count, 1, side, side)
    assert [sample.gt_img.shape for sample in out['data_samples']] == [(1, 2 * side, 2 * side)] * count
    for image, sample in zip(out['inputs'], out['data_samples'], strict=True):
        assert torch.equal(sample.gt_img[:, ::2, ::2], image)


def test_prediction_gets_whole_images(at):
    at(0)
    assert preprocess()(batch())['inputs'].shape == (4, 1, 20, 20)


def test_masks_are_cut_like_their_images(at):
    at(10)
    data = batch()
    for image, sample in zip(data['inputs'], data['data_samples'], strict=True):
        sample.mask = image.clone()
        del sample.gt_img
    out = preprocess(scale=1)(data, training=True)
    assert torch.equal(out['data_samples'][0].mask, out['inputs'][0])


@pytest.mark.parametrize('data', [batch(count=3), batch(side=7)])
def test_batches_that_are_too_small_are_refused(at, data):
    at(0)
    with pytest.raises(ValueError, match='set batch_size and patch_size'):
        preprocess()(data, training=True)


def test_stages_must_follow_one_another():
    with pytest.raises(ValueError, match='one after another'):
        preprocess(stages=STAGES[::-1])
