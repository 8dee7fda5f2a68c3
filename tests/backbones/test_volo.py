"""VOLO: no pyramid, positions of one image size, and its checkpoint layout."""

import pytest
import torch

from denseformer.backbones import VOLO

MILLIONS = {'d1': 22.90, 'd2': 52.40, 'd3': 80.05, 'd4': 179.61, 'd5': 279.74}
TINY = {'depths': (1, 1, 1, 1), 'widths': (32, 64, 64, 64), 'heads': (1, 2, 2, 2), 'stem': 8}


@pytest.mark.parametrize('arch', VOLO.archs)
def test_has_the_published_number_of_parameters_without_class_attention(arch):
    assert VOLO.describe(arch).parameters / 1e6 == pytest.approx(MILLIONS[arch], abs=0.01)


def test_has_one_map_of_stride_8_and_three_of_stride_16():
    with torch.no_grad():
        maps = VOLO(arch=TINY).eval()(torch.randn(1, 3, 64, 96))
    assert [tuple(m.shape[2:]) for m in maps] == [(8, 12), (4, 6), (4, 6), (4, 6)]


def test_stochastic_depth_leaves_the_outlookers_out():
    network = VOLO.on_meta_device(arch='d1', drop_path_rate=0.2)
    rates = [[block.drop_path.rate for block in stage.blocks] for stage in network.stages]
    assert rates[0] == [0, 0, 0, 0]
    assert rates[1][0] == pytest.approx(0.2 * 4 / 17)
    assert rates[3][-1] == pytest.approx(0.2)


def test_an_imagenet_checkpoint_of_another_image_size_loads():
    network = VOLO(arch=TINY, image_size=64)
    checkpoint = {
        'patch_embed.conv.3.weight': torch.full((8, 8, 3, 3), 2.0),
        'patch_embed.conv.7.running_var': torch.full((8,), 3.0),
        'network.0.0.attn.attn.bias': torch.full((81,), 4.0),
        'network.1.proj.bias': torch.full((64,), 5.0),
        'network.3.0.attn.qkv.weight': torch.full((192, 64), 6.0),
        'pos_embed': torch.arange(8.0)[None, :, None, None].expand(1, 8, 8, 64),
        'cls_token': torch.ones(1, 1, 64),
        'post_network.0.norm1.weight': torch.ones(64),
        'norm.weight': torch.ones(64),
        'head.weight': torch.ones(1000, 64),
        'aux_head.bias': torch.ones(1000),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    assert (network.patch_embed.stem[1].conv.weight == 2).all()
    assert (network.patch_embed.stem[2].norm.running_var == 3).all()
    assert (network.stages[0].blocks[0].attn.logits.bias == 4).all()
    assert (network.stages[1].downsample.proj.bias == 5).all()
    assert (network.stages[2].blocks[0].attn.qkv.weight == 6).all()
    torch.testing.assert_close(network.stages[1].pos_embed[:, 0, 0].detach(), 2 * torch.arange(4.0) + 0.5)


def test_an_image_too_small_for_positions_is_refused():
    with pytest.raises(ValueError, match='image_size must be at least 16'):
        VOLO(arch=TINY, image_size=8)
