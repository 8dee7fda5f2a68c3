"""FaViT: the summary of windows, and the reflection of small maps."""

import pytest
import torch

from denseformer.backbones import FaViT
from denseformer.backbones.global_attention.favit import window_positions, window_summary

PARAMETERS = {'b0': 3_170_704, 'b1': 12_445_568, 'b2': 24_406_896, 'b3': 47_977_440}


@pytest.mark.parametrize('arch', PARAMETERS)
def test_variants_have_the_published_parameters(arch):
    assert FaViT.describe(arch).parameters == PARAMETERS[arch]


@pytest.mark.parametrize(('side', 'dilation'), [(7, 1), (16, 1), (25, 8), (40, 4)])
def test_windows_continue_by_reflection(side, dilation):
    stride = 6 * dilation + 1
    line = torch.arange(float(side))[None, None]
    line = torch.nn.functional.pad(line, (0, -side % stride), mode='reflect')
    windows = line.unfold(2, stride, stride)[0, 0, :, ::dilation]  # (n, 7)
    assert window_positions(side, dilation, line.device).tolist() == windows.T.flatten().tolist()


def test_small_maps_are_reflected_to_and_fro():
    assert window_positions(3, 1, torch.device('cpu')).tolist() == [0, 1, 2, 1, 0, 1, 2]
    assert window_positions(1, 8, torch.device('cpu')).tolist() == [0] * 7


def test_a_single_window_is_its_own_summary():
    x = torch.randn(2, 7, 7, 6)
    expected = x.flatten(1, 2).unflatten(-1, (3, 2)).transpose(1, 2)
    torch.testing.assert_close(window_summary(x, 1, 3), expected)


def test_summaries_average_runs_across_channels_as_the_checkpoints_were_trained():
    x = torch.zeros(1, 7, 14, 2)
    x[:, :, 7:, 0] = 1  # second of two windows, first channel
    torch.testing.assert_close(window_summary(x, 1, 1)[0, 0, 0], torch.tensor([0.0, 0.5]))


def test_an_imagenet_checkpoint_loads_its_norms_and_not_its_classifier():
    network = FaViT()
    official = {
        'block1.0.attn.kv_l.point_conv.weight': torch.full((28, 28, 1, 1), 2.0),
        'norm4.weight': torch.full((256,), 3.0),
        'head.weight': torch.zeros(1000, 256),
    }
    assert not network.load_state_dict(official, strict=False).unexpected_keys
    assert (network.stages[0].blocks[0].attn.pointwise.weight == 2).all()
    assert (network.out_norms[3].weight == 3).all()
