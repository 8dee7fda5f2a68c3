"""SpectFormer's and SVT: parameters that depend on the image size, and their checkpoint layouts."""

import pytest
import torch

from denseformer.backbones import SVT, SpectFormer

MILLIONS = {
    (SpectFormer, 'small'): 18.91,
    (SpectFormer, 'base'): 28.87,
    (SpectFormer, 'large'): 50.49,
    (SVT, 'small'): 18.74,
    (SVT, 'base'): 28.70,
    (SVT, 'large'): 50.41,
}
TINY = {'stem': 8, 'widths': (8, 16, 32, 64), 'depths': (1, 1, 1, 1), 'heads': (1, 1, 2, 2)}


@pytest.mark.parametrize(('cls', 'arch'), MILLIONS)
def test_has_the_published_number_of_parameters_without_class_attention(cls, arch):
    assert cls.describe(arch).parameters / 1e6 == pytest.approx(MILLIONS[cls, arch], abs=0.01)


def test_a_spectformer_checkpoint_of_another_image_size_loads():
    network = SpectFormer(arch=TINY, image_size=128)
    spectrum = torch.randn(56, 29, 8, 2)
    checkpoint = {
        'patch_embed1.conv.3.weight': torch.full((8, 8, 3, 3), 2.0),
        'patch_embed2.proj.bias': torch.full((16,), 3.0),
        'block1.0.attn.complex_weight': spectrum,
        'block3.0.attn.q.weight': torch.full((32, 32), 4.0),
        'block3.0.attn.kv.weight': torch.full((64, 32), 5.0),
        'norm4.weight': torch.full((64,), 6.0),
        'post_network.0.norm1.weight': torch.ones(64),
        'head.weight': torch.ones(1000, 64),
        'aux_head.weight': torch.ones(1000, 64),
    }
    assert not network.load_state_dict(checkpoint, strict=False).unexpected_keys
    assert (network.patch_embed.stem[1].conv.weight == 2).all()
    assert (network.stages[1].downsample.reduction.bias == 3).all()
    loaded = network.stages[0].blocks[0].attn.spectrum
    assert loaded.shape == (8, 32, 17, 2)
    torch.testing.assert_close(loaded[:, -1, -1].detach(), spectrum[-1, -1])
    assert (network.stages[2].blocks[0].attn.qkv.weight[32:] == 5).all()
    assert (network.out_norms[3].weight == 6).all()


def test_an_svt_checkpoint_loads_without_the_constants_of_its_transform():
    network = SVT(arch=TINY)
    gains = torch.randn(8, 56, 56)
    checkpoint = {
        'block1.0.attn.complex_weight_ll': gains,
        'block1.0.attn.complex_weight_lh_2': torch.full((2, 4, 2, 2), 3.0),
        'block1.0.attn.complex_weight_lh_b1': torch.full((2, 4, 2), 4.0),
        'block1.0.attn.xfm.h0o': torch.ones(1, 1, 13, 1),
        'block1.0.attn.ifm.g1b': torch.ones(1, 1, 14, 1),
    }
    assert not network.load_state_dict(checkpoint, strict=False).unexpected_keys
    attn = network.stages[0].blocks[0].attn
    torch.testing.assert_close(attn.gains.detach(), gains.permute(1, 2, 0))
    assert (attn.fc2.weight == 3).all()
    assert (attn.fc1.bias == 4).all()


def test_scattering_with_unit_gains_and_no_mixing_gives_the_map_back():
    attn = SVT(arch=TINY).double().stages[0].blocks[0].attn
    attn.mix = lambda real, imaginary: (real, imaginary)
    torch.nn.init.ones_(attn.gains)
    x = torch.randn(2, 7, 10, 8, dtype=torch.double)
    torch.testing.assert_close(attn(x), x, rtol=0, atol=1e-9)
