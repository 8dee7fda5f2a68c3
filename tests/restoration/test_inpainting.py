"""PEPSI is trained and tested on images with free-form holes."""

import numpy as np
import torch
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

from denseformer.datasets.restoration.free_form_masks import FreeFormMask
from denseformer.registry import MODELS
from denseformer.restoration import RestorationSample

PART = {'type': 'OptimWrapper', 'optimizer': {'type': 'Adam', 'lr': 1e-3}}


def test_masks_are_holes_of_some_size_and_fixed_ones_stay():
    image = np.full((64, 96, 3), 200, np.uint8)
    shares = []
    for _ in range(5):
        results = FreeFormMask()({'gt_img': image, 'gt_path': 'a.png'})
        assert set(np.unique(results['mask'])) == {0, 1}
        assert np.array_equal(results['img'] > 0, np.broadcast_to(results['mask'] > 0, image.shape))
        shares.append(results['mask'].mean())
    assert len(set(shares)) > 1
    first, again, other = (
        FreeFormMask(fixed=True)({'gt_img': image, 'gt_path': f'{name}.png'})['mask'] for name in ('a', 'a', 'b')
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_both_sides_learn_and_known_pixels_stay():
    model = MODELS.build(
        {
            'type': 'denseformer.InpaintingRestorer',
            'network': {'type': 'denseformer.PEPSI', 'arch': {'width': 4}},
            'discriminator': {'type': 'denseformer.RegionDiscriminator', 'size': (64, 64), 'width': 4},
            'gan_loss': {'type': 'denseformer.GANLoss', 'kind': 'hinge'},
            'coarse_steps': 2,
        }
    )
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
        {
            'type': 'denseformer.GANOptimWrapperConstructor',
            'optim_wrapper_cfg': {'network': PART, 'discriminator': PART},
        }
    )
    optimizers = constructor(model)
    torch.manual_seed(0)
    mask = torch.ones(1, 64, 64, dtype=torch.uint8)
    mask[:, 16:40, 16:40] = 0
    images = list(torch.rand(2, 3, 64, 64))
    before = [p.detach().clone() for p in (model.network.context.weight, model.discriminator.weight)]

    def batch() -> dict:
        samples = [RestorationSample(gt_img=image, mask=mask) for image in images]
        return {'inputs': [image * mask for image in images], 'data_samples': samples}

    logs = [model.train_step(batch(), optimizers) for _ in range(3)]
    assert logs[0]['loss_coarse'] > 0
    assert logs[2]['loss_coarse'] == 0
    for old, new in zip(before, (model.network.context.weight, model.discriminator.weight), strict=True):
        assert not torch.equal(old, new)
    (first, _) = model.eval().test_step(batch())
    known = mask.bool().expand(3, -1, -1)
    assert torch.equal(first.pred_img[known], images[0][known])
    assert first.pred_img[~known].abs().sum() > 0
