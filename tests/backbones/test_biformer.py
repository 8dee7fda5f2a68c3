"""BiFormer: its windows."""

import pytest
import torch

from denseformer.attention.routing import route_windows, routed_attention
from denseformer.attention.windows import window_attention
from denseformer.backbones import BiFormer

PARAMETERS = {'tiny': 12_630_656, 'small': 25_024_128, 'base': 56_037_312}


@pytest.mark.parametrize('arch', PARAMETERS)
def test_variants_have_the_published_parameters(arch):
    assert BiFormer.describe(arch).parameters == PARAMETERS[arch]


def test_windows_carry_no_parameters_and_change_the_result():
    coarse, fine = BiFormer(windows_per_side=7).eval(), BiFormer(windows_per_side=16).eval()
    fine.load_state_dict(coarse.state_dict())
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        assert not torch.allclose(coarse(image)[2], fine(image)[2], atol=1e-3)


def test_a_window_is_routed_to_the_windows_with_the_most_similar_mean_key():
    means = torch.eye(4)
    q = means.expand(3, 4, 4).transpose(0, 1)[None]  # (1, n, N, C): window i has the mean e_i
    k = q.flip(1)
    assert route_windows(q, k, 1).flatten().tolist() == [3, 2, 1, 0]


def test_routing_each_window_to_itself_is_window_attention():
    qkv = torch.randn(2, 4, 9, 3 * 16)
    own = torch.arange(4)[None, :, None].expand(2, -1, -1)
    torch.testing.assert_close(routed_attention(qkv, own, 2), window_attention(qkv, 2))


def test_routing_to_all_windows_is_global_attention():
    qkv = torch.randn(2, 4, 9, 3 * 16)
    everywhere = torch.arange(4).expand(2, 4, -1)
    whole = window_attention(qkv.flatten(1, 2)[:, None], 2).view(2, 4, 9, 16)
    torch.testing.assert_close(routed_attention(qkv, everywhere, 2), whole)


def test_an_imagenet_checkpoint_loads_without_its_classifier():
    network = BiFormer()
    official = {
        'downsample_layers.0.0.weight': torch.full((32, 3, 3, 3), 2.0),
        'stages.3.1.attn.qkv.weight': torch.full((1536, 512), 3.0),
        'norm.running_mean': torch.zeros(512),
        'head.weight': torch.zeros(1000, 512),
    }
    assert not network.load_state_dict(official, strict=False).unexpected_keys
    assert (network.patch_embed.proj[0].weight == 2).all()
    assert (network.stages[3].blocks[1].attn.qkv.weight == 3).all()
