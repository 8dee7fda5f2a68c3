import pytest
import refkit
import torch

from denseformer.attention.halo import halo_attention
from denseformer.backbones import HaloNet

MILLIONS = {'26t': 12.48, '50ts': 22.73}  # with timm's classifier


@pytest.mark.parametrize('arch', MILLIONS)
def test_has_the_published_number_of_parameters(arch):
    classifier = 2049 * 1000
    assert (HaloNet.describe(arch).parameters + classifier) / 1e6 == pytest.approx(MILLIONS[arch], abs=0.005)


def test_timms_classifier_loads():
    shapes = refkit.load_reference('halonet/halonet26t')['shapes']
    classifier = {key.replace('_', '.', 1): shape for key, shape in shapes.items()}
    weights = refkit.fill_state_dict({**classifier, 'head.fc.weight': [1000, 2048], 'head.fc.bias': [1000]})
    left = HaloNet().load_state_dict(weights, strict=False)
    assert not left.unexpected_keys
    assert all(key.endswith('num_batches_tracked') for key in left.missing_keys)


def test_a_query_sees_its_block_and_the_halo_and_nothing_else():
    q, kv = torch.randn(1, 24, 24, 2, 4), torch.randn(1, 24, 24, 2, 8)
    rows, columns = torch.randn(23, 4), torch.randn(23, 4)

    def attend(kv):
        return halo_attention(q, kv, block=8, halo=2, rows=rows, columns=columns)

    before = attend(kv)
    for (y, x), seen in {(6, 6): True, (17, 17): True, (5, 6): False, (18, 17): False}.items():
        changed = kv.clone()
        changed[:, y, x] += 5
        assert bool((attend(changed) != before)[0, 8:16, 8:16].any()) is seen


def test_a_map_that_does_not_divide_into_blocks_is_one_surrounded_by_zeros():
    attention = HaloNet().stages[2].blocks[1].attn.eval()
    x = torch.randn(1, 256, 13, 10)
    with torch.no_grad():
        torch.testing.assert_close(
            attention(x), attention(torch.nn.functional.pad(x, (0, 14, 0, 3)))[..., :13, :10], rtol=1e-5, atol=1e-5
        )
