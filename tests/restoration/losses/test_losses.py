"""Losses by what they are defined as, and training against a discriminator."""

import pytest
import torch
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

import denseformer.restoration.losses.perceptual as perceptual
from denseformer.registry import MODELS
from denseformer.restoration import RestorationSample
from denseformer.restoration.adversarial import unsharp_mask

ONE, OTHER = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)


def loss(name: str, **options):
    return MODELS.build({'type': f'denseformer.{name}', **options})


def test_pixel_losses():
    difference = ONE - OTHER
    assert torch.allclose(loss('L1Loss', weight=2.0)(ONE, OTHER), 2 * difference.abs().mean())
    assert torch.allclose(loss('MSELoss')(ONE, OTHER), difference.square().mean())
    assert torch.allclose(loss('CharbonnierLoss', eps=1e-12)(ONE, OTHER), difference.abs().mean(), atol=1e-4)


def test_the_frequency_loss_sees_a_wave_in_two_frequencies():
    wave = torch.cos(2 * torch.pi * 4 * torch.arange(32) / 32).expand(1, 1, 32, 32)
    value = loss('FrequencyLoss', norm='backward')(wave, torch.zeros_like(wave))
    assert value.item() == pytest.approx(2 * (32 * 32 / 2) / (2 * 32 * 32), rel=1e-4)


def vgg19(monkeypatch, tmp_path):
    monkeypatch.setattr(perceptual, 'STAGES', ((4, 2), (4, 2), (4, 4), (4, 4), (4, 4)))
    weights, channels = {}, 3
    for position in perceptual.positions():
        weights[f'features.{position}.weight'] = torch.randn(4, channels, 3, 3) / 4
        weights[f'features.{position}.bias'] = torch.zeros(4)
        channels = 4
    torch.save(weights, tmp_path / 'vgg19.pth')
    return str(tmp_path / 'vgg19.pth')


def test_vgg19_lies_where_torchvision_puts_it():
    assert perceptual.positions() == [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]


def test_the_perceptual_loss_reads_its_weights_and_keeps_them_to_itself(monkeypatch, tmp_path):
    compare = loss('PerceptualLoss', weights=vgg19(monkeypatch, tmp_path))
    with pytest.raises(ValueError, match='init_weights'):
        compare(ONE, OTHER)
    compare.init_weights()
    assert compare.state_dict() == {}
    assert not list(compare.parameters())
    assert compare(ONE, ONE) == 0
    image = ONE.clone().requires_grad_()
    compare(image, OTHER).backward()
    assert image.grad.abs().sum() > 0


def test_missing_perceptual_weights_are_an_error():
    with pytest.raises(ValueError, match='no such checkpoint file'):
        loss('PerceptualLoss', weights='nowhere/vgg19.pth').init_weights()


@pytest.mark.parametrize('kind', ['vanilla', 'lsgan', 'hinge'])
def test_the_discriminators_loss_falls_as_its_verdicts_improve(kind):
    gan = loss('GANLoss', kind=kind)
    right, wrong = torch.full((2, 1), 0.9), torch.full((2, 1), -0.9)
    assert gan.discriminate(right, real=True) < gan.discriminate(wrong, real=True)
    assert gan(right) < gan(wrong)


def test_sharpening_leaves_flat_images():
    flat = torch.full((1, 3, 64, 64), 0.4)
    assert torch.allclose(unsharp_mask(flat, 0.5), flat, atol=1e-5)


def test_both_sides_of_a_gan_are_trained():
    arch = {'dim': 8, 'groups': 1, 'blocks': 1, 'kernel_size': 3}
    model = MODELS.build(
        {
            'type': 'denseformer.AdversarialRestorer',
            'network': {'type': 'denseformer.CFSR', 'arch': arch, 'scale': 2},
            'discriminator': {'type': 'denseformer.UNetDiscriminator', 'width': 4},
            'gan_loss': {'type': 'denseformer.GANLoss'},
            'losses': [{'type': 'denseformer.L1Loss'}],
            'sharpen': 0.5,
        }
    )
    part = {'type': 'OptimWrapper', 'optimizer': {'type': 'Adam', 'lr': 1e-3}}
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
        {
            'type': 'denseformer.GANOptimWrapperConstructor',
            'optim_wrapper_cfg': {'network': part, 'discriminator': part},
        }
    )
    before = [p.clone() for p in (model.network.conv_first.weight, model.discriminator.conv_last.weight)]
    samples = [RestorationSample(gt_img=torch.rand(3, 64, 64)) for _ in range(2)]
    log = model.train_step({'inputs': list(torch.rand(2, 3, 32, 32)), 'data_samples': samples}, constructor(model))
    assert {'loss', 'loss_l1', 'loss_gan', 'discriminator_real', 'discriminator_fake'} <= set(log)
    for old, new in zip(before, (model.network.conv_first.weight, model.discriminator.conv_last.weight), strict=True):
        assert not torch.equal(old, new)
