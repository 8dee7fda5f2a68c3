import pytest
import torch
import torch.nn.functional as F

from denseformer.attention.linear import injective_linear_attention
from denseformer.backbones import InLinePVT, InLineSwin
from denseformer.backbones.linear_attention.inline import convolve_each


@pytest.mark.parametrize(
    ('cls', 'arch', 'millions'),
    [
        (InLinePVT, 'tiny', 11.52),
        (InLinePVT, 'small', 21.04),
        (InLinePVT, 'medium', 37.11),
        (InLinePVT, 'large', 50.64),
        (InLineSwin, 'tiny', 28.45),
        (InLineSwin, 'small', 49.02),
        (InLineSwin, 'base', 87.32),
    ],
)
def test_variants_have_the_published_number_of_parameters_without_classifier(cls, arch, millions):
    assert cls.describe(arch).parameters / 1e6 == pytest.approx(millions, abs=0.01)


def test_weights_of_injective_attention_add_up_to_one():
    q, k, v = (torch.randn(2, 3, n, 4, dtype=torch.double) for n in (10, 20, 20))
    logits = q @ k.mT / 2 / 20
    weights = logits - logits.mean(-1, keepdim=True) + 1 / 20
    torch.testing.assert_close(injective_linear_attention(q, k, v), weights @ v)


def test_every_image_is_convolved_with_its_own_kernels():
    maps, kernels = torch.randn(2, 5, 7, 3), torch.randn(2, 27, 1)
    out = convolve_each(maps, kernels)
    for image, kernel, expected in zip(maps, kernels, out, strict=True):
        alone = F.conv2d(image.permute(2, 0, 1)[None], kernel.view(3, 1, 3, 3), padding=1, groups=3)
        torch.testing.assert_close(alone[0].permute(1, 2, 0), expected)


def test_swin_blocks_do_not_shift_a_map_of_one_window():
    plain, shifted = InLineSwin(arch='tiny').eval().stages[3].blocks
    shifted.load_state_dict(plain.state_dict())
    with torch.no_grad():
        window, wider = torch.randn(1, 7, 14, 768), torch.randn(1, 9, 14, 768)
        torch.testing.assert_close(plain(window), shifted(window))
        assert not torch.allclose(plain(wider), shifted(wider))


def test_positions_of_another_image_size_are_interpolated_on_loading():
    source, network = InLinePVT(arch='tiny', image_size=448), InLinePVT(arch='tiny')
    with torch.no_grad():
        source.stages[0].pos_embed.copy_(torch.arange(112.0)[:, None].expand_as(source.stages[0].pos_embed))
    assert not network.load_state_dict(source.state_dict()).missing_keys
    torch.testing.assert_close(network.stages[0].pos_embed[0, :, 0].detach(), 2 * torch.arange(56.0) + 0.5)
