import pytest
import torch

from denseformer.backbones import SwinV2


@pytest.mark.parametrize(('arch', 'millions'), [('tiny', 27.58), ('small', 48.96), ('base', 86.90), ('large', 195.20)])
def test_variants_have_the_published_number_of_parameters_without_classifier(arch, millions):
    assert SwinV2.describe(arch).parameters / 1e6 == pytest.approx(millions, abs=0.02)


def test_one_checkpoint_serves_any_window():
    source, network = SwinV2(arch='tiny', window_size=8), SwinV2(arch='tiny', window_size=16)
    left = network.load_state_dict(source.state_dict())
    assert not left.missing_keys


def test_windows_as_wide_as_the_map_do_not_shift():
    even, odd = SwinV2(arch='tiny').stages[0].blocks
    odd.load_state_dict(even.state_dict())
    x = torch.randn(1, 8, 24, 96)
    with torch.no_grad():
        torch.testing.assert_close(even.attn(x), odd.attn(x))
        wider = torch.randn(1, 16, 24, 96)
        assert not torch.allclose(even.attn(wider), odd.attn(wider))


def test_biases_measure_offsets_in_windows_of_the_pretraining():
    whole = SwinV2(arch='tiny', window_size=16)
    pretrained = SwinV2(arch='tiny', window_size=16, pretrained_windows=(8, 8, 8, 8))
    pretrained.load_state_dict(whole.state_dict())
    narrow, wide = (network.stages[0].blocks[0].attn.bias for network in (whole, pretrained))
    torch.testing.assert_close(narrow((8, 8)), wide((8, 8)))
    assert not torch.allclose(narrow((16, 16)), wide((16, 16)))


def test_pretrained_windows_must_name_every_stage():
    with pytest.raises(ValueError, match='4 entries'):
        SwinV2(arch='tiny', pretrained_windows=(8, 8))
