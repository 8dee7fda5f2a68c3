"""CvT: three stages, a class token in the last, and its checkpoint layout."""

import pytest
import torch

from denseformer.backbones import CvT

MILLIONS = {'13': 19.61, '21': 31.24, 'w24': 276.17}
TINY = {'widths': (8, 16, 32), 'depths': (1, 1, 2), 'heads': (1, 2, 2)}


@pytest.mark.parametrize('arch', CvT.archs)
def test_has_the_published_number_of_parameters_without_classifier(arch):
    assert CvT.describe(arch).parameters / 1e6 == pytest.approx(MILLIONS[arch], abs=0.01)


def test_returns_the_maps_of_its_three_stages():
    network = CvT(arch=TINY).eval()
    with torch.no_grad():
        maps = network(torch.randn(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [(8, 16, 24), (16, 8, 12), (32, 4, 6)]
    assert network.out_strides == (4, 8, 16)


def test_only_the_map_of_the_last_stage_sees_the_class_token():
    torch.manual_seed(0)
    network = CvT(arch=TINY).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = network(image)
        network.stages[2].cls_token.add_(10)
        after = network(image)
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [True, True, False]


def test_stochastic_depth_concerns_the_last_stage():
    network = CvT.on_meta_device(arch='13', drop_path_rate=0.3)
    rates = [[block.drop_path.rate for block in stage.blocks] for stage in network.stages]
    assert rates[:2] == [[0], [0, 0]]
    assert rates[2] == pytest.approx([0.3 * i / 9 for i in range(10)])


def test_an_imagenet_checkpoint_loads_and_its_classifier_is_dropped():
    network = CvT(arch=TINY)
    checkpoint = {
        'stage0.patch_embed.proj.bias': torch.full((8,), 2.0),
        'stage1.patch_embed.norm.weight': torch.full((16,), 3.0),
        'stage1.blocks.0.attn.conv_proj_k.bn.running_mean': torch.full((16,), 4.0),
        'stage2.blocks.1.attn.proj_q.weight': torch.full((32, 32), 5.0),
        'stage2.cls_token': torch.full((1, 1, 32), 6.0),
        'norm.weight': torch.ones(32),
        'head.weight': torch.ones(1000, 32),
    }
    assert not network.load_state_dict(checkpoint, strict=False).unexpected_keys
    assert (network.patch_embed.proj.bias == 2).all()
    assert (network.stages[1].downsample.norm.weight == 3).all()
    assert (network.stages[1].blocks[0].attn.k_conv.norm.running_mean == 4).all()
    assert (network.stages[2].blocks[1].attn.q.weight == 5).all()
    assert (network.stages[2].cls_token == 6).all()
