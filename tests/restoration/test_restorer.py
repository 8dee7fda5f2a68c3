"""The model on mmengine: losses, prediction, weights of several layouts, a start from another scale, averaging."""

from pathlib import Path

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.optim import OptimWrapper
from torch import Tensor

from denseformer.registry import MODELS
from denseformer.restoration import RestorationSample, Restorer
from denseformer.restoration.preprocessor import RestorationPreprocessor

SMALL = {'dim': 8, 'groups': 2, 'blocks': 3, 'kernel_size': 3}
TOKENS = {'dim': 8, 'qk_dim': 8, 'heads': 2, 'hidden': 8, 'patches': (8,), 'centres': (4,), 'groups': (16,)}


def build(scale: int = 2, losses: tuple[str, ...] = ('L1Loss',), **options) -> Restorer:
    torch.manual_seed(0)
    network = {'type': 'denseformer.CFSR', 'arch': SMALL, 'scale': scale}
    return MODELS.build(
        {
            'type': 'denseformer.Restorer',
            'network': network,
            'losses': [{'type': f'denseformer.{name}'} for name in losses],
            **options,
        }
    )


def batch(scale: int = 2, size: int = 16) -> dict:
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(256, (3, size, size), dtype=torch.uint8, generator=generator) for _ in range(2)]
    targets = [image.repeat_interleave(scale, 1).repeat_interleave(scale, 2) for image in images]
    return {'inputs': images, 'data_samples': [RestorationSample(gt_img=target) for target in targets]}


def test_training_steps_lower_the_loss():
    model = build(losses=('L1Loss', 'CharbonnierLoss'))
    optimizer = OptimWrapper(torch.optim.Adam(model.parameters(), 1e-2))
    logged = [model.train_step(batch(), optimizer) for _ in range(5)]
    assert set(logged[0]) == {'loss', 'loss_l1', 'loss_charbonnier'}
    assert logged[-1]['loss'] < logged[0]['loss']


def test_prediction_is_neither_clipped_nor_rounded():
    model = build().eval()
    torch.nn.init.constant_(model.network.upsampler.convs[0].bias, 2.0)
    (first, _) = model.test_step(batch())
    assert first.pred_img.shape == (3, 32, 32)
    assert first.pred_img.dtype == torch.float32
    assert first.pred_img.max() > 1
    assert first.gt_img.dtype == torch.uint8


def test_a_self_ensemble_turns_with_the_image():
    ensemble, plain, data = build(self_ensemble=True).eval(), build().eval(), batch()
    turned = {**data, 'inputs': [image.rot90(1, (1, 2)) for image in data['inputs']]}
    expected = ensemble.test_step(batch())[0].pred_img.rot90(1, (1, 2))
    assert torch.allclose(ensemble.test_step(turned)[0].pred_img, expected, atol=1e-5)
    assert not torch.allclose(plain.test_step(turned)[0].pred_img, expected, atol=1e-5)


def test_a_batch_is_on_unit_scale_whatever_its_depth():
    preprocess = RestorationPreprocessor()
    for image in (torch.full((1, 4, 4), 255, dtype=torch.uint8), torch.ones(1, 4, 4)):
        assert torch.equal(preprocess({'inputs': [image]})['inputs'], torch.ones(1, 1, 4, 4))


def test_images_of_several_sizes_are_refused_with_the_remedy():
    images = [torch.zeros(3, 8, 8), torch.zeros(3, 8, 9)]
    with pytest.raises(ValueError, match='batch_size=1'):
        RestorationPreprocessor()({'inputs': images})


def test_training_without_a_target_is_refused():
    model = build()
    with pytest.raises(ValueError, match='gt_path'):
        model(torch.zeros(1, 3, 8, 8), [RestorationSample()], mode='loss')


def test_bare_and_whole_state_dicts_load():
    source, target = build(), build()
    for weights in (source.network.state_dict(), source.state_dict()):
        torch.nn.init.zeros_(next(target.parameters()))
        target.load_state_dict(weights)
        assert torch.equal(next(target.parameters()), next(source.parameters()))


def test_another_scale_starts_from_trained_weights(tmp_path: Path):
    trained = build(scale=2)
    for parameter in trained.parameters():
        torch.nn.init.constant_(parameter, 0.5)
    torch.save({'state_dict': trained.state_dict()}, tmp_path / 'iter_1.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_1.pth'))
    model = build(scale=3, pretrained=str(tmp_path))
    model.init_weights()
    changed = {name for name, p in model.network.named_parameters() if not bool((p == 0.5).all())}
    kept = {name for name, p in model.network.named_parameters()} - changed
    assert all('upsample' in name for name in changed)
    assert changed
    assert len(kept) > len(changed)


def test_a_start_that_is_missing_says_what_to_do():
    with pytest.raises(ValueError, match='Train the config of that name first'):
        build(pretrained='nowhere/iter_1.pth').init_weights()


class Run:
    """The attributes of a Runner that EMAHook looks at."""

    def __init__(self, model):
        self.model, self.iter, self.max_iters = model, 0, 10


def test_averaged_weights_come_with_the_buffers_of_the_model():
    network = {'type': 'denseformer.CATANet', 'arch': TOKENS, 'scale': 2}
    model = MODELS.build(
        {'type': 'denseformer.Restorer', 'network': network, 'losses': [{'type': 'denseformer.L1Loss'}]}
    )
    optimizer = OptimWrapper(torch.optim.Adam(model.parameters(), 1e-2))
    hook, run = EMAHook(momentum=0.001), Run(model)
    hook.before_run(run)
    for _ in range(2):
        model.train_step(batch(), optimizer)
        hook.after_train_iter(run, 0)
    averaged = hook.ema_model.module
    buffers = dict(averaged.named_buffers())
    assert any(name.endswith('means') for name in buffers)
    for name, buffer in model.named_buffers():
        assert torch.equal(buffers[name], buffer), name
    assert not same(list(averaged.parameters()), list(model.parameters()))


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
