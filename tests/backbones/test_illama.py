"""iLLaMA: published sizes, the soft mask, and the order of its tokens."""

import pytest
import refkit
import torch

from denseformer.backbones import ILLaMA
from denseformer.backbones.plain.illama import sequence_rotation, soft_causal_mask

CPU = torch.device('cpu')
NORMED = {'out_indices': (11,), 'norm_outputs': True}
PUBLISHED = {'tiny': 5_701_096, 'small': 22_018_024, 'base': 86_502_376}


@pytest.mark.parametrize('arch', PUBLISHED)
def test_has_the_published_number_of_parameters_with_a_classifier(arch):
    width = ILLaMA.archs[arch].width
    assert ILLaMA.describe(arch).parameters + width + 1000 * (width + 1) == PUBLISHED[arch]


@torch.no_grad()
@pytest.mark.parametrize(('options', 'outputs'), [({}, slice(4)), (NORMED, slice(4, 5))])
def test_maps_agree_with_the_authors_code(options, outputs):
    reference = refkit.load_reference('illama/tiny_64')  # four maps, the last one normed, class logits
    network = ILLaMA(arch='tiny', image_size=64, **options).eval()
    left = network.load_state_dict(refkit.fill_state_dict(reference['shapes']), strict=False)
    assert not left.missing_keys
    assert not left.unexpected_keys
    (run,) = reference['runs']
    assert refkit.deviation(list(network(refkit.make_input(run))), run['outputs'][outputs]) < 1e-4


def test_the_soft_mask_lets_a_share_of_what_lies_behind_through():
    mask = soft_causal_mask(3, 0.4, CPU, torch.float32)  # the class token first, though it is the last of the sequence
    expected = [[1, 1, 1, 1], [0.4, 1, 0.4, 0.4], [0.4, 1, 1, 0.4], [0.4, 1, 1, 1]]
    torch.testing.assert_close(mask, torch.tensor(expected))


def test_the_class_token_has_the_place_behind_the_patches():
    sin, _ = sequence_rotation(5, 8, CPU, torch.float64)
    torch.testing.assert_close(sin[:, 0], torch.tensor([5.0, 0, 1, 2, 3, 4], dtype=torch.float64).sin())


def test_the_position_of_the_class_token_is_the_last_one_of_a_checkpoint():
    network = ILLaMA(arch={'width': 16, 'blocks': 1, 'heads': 2}, image_size=32)
    table = torch.arange(5.0)[None, :, None].expand(1, 5, 16)
    network.load_state_dict({'pos_embed': table}, strict=False)
    assert network.patch_embed.positions.table[0, :, 0].tolist() == [4, 0, 1, 2, 3]


def test_a_rate_beyond_its_range_is_refused():
    with pytest.raises(ValueError, match='soft_mask_rate'):
        ILLaMA.on_meta_device(arch='tiny', soft_mask_rate=1.5)
