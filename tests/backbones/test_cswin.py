import pytest
import torch

from denseformer.backbones import CSWin


@pytest.mark.parametrize(('arch', 'millions'), [('tiny', 21.81), ('small', 34.13), ('base', 76.61), ('large', 172.1)])
def test_variants_have_the_published_number_of_parameters(arch, millions):
    assert CSWin.describe(arch).parameters / 1e6 == pytest.approx(millions, abs=0.05)


def test_large_doubles_its_last_width_though_its_heads_do_not():
    description = CSWin.describe('large')
    assert description.channels == (144, 288, 576, 1152)


@pytest.mark.parametrize(('stage', 'reaches'), [(0, 'a cross'), (3, 'the map')])
def test_tokens_attend_along_their_row_and_column_and_at_last_everywhere(stage, reaches):
    network = CSWin(arch='tiny').eval()
    attn = network.stages[stage].blocks[0].attn
    x = torch.randn(1, 9, 9, network.arch.widths[stage], requires_grad=True)
    attn(x)[0, 4, 2].sum().backward()
    seen = x.grad[0].abs().sum(-1) > 0
    if reaches == 'the map':
        assert seen.all()
    else:
        expected = torch.zeros(9, 9, dtype=torch.bool)
        expected[4], expected[:, 2] = True, True
        assert torch.equal(seen, expected)


def test_imagenet_checkpoint_loads_without_its_classifier():
    source, network = CSWin(arch='tiny'), CSWin(arch='tiny')
    attn = source.stages[2].blocks[5].attn
    checkpoint = {
        'stage1_conv_embed.2.weight': source.patch_embed.norm.weight,
        'stage3.5.attns.1.get_v.weight': attn.encodings[1].weight,
        'stage3.5.qkv.weight': attn.qkv.weight,
        'merge2.conv.bias': source.stages[2].downsample.reduction.bias,
        'norm.weight': torch.ones(512),
        'head.weight': torch.ones(1000, 512),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    loaded = network.stages[2].blocks[5].attn
    assert torch.equal(loaded.encodings[1].weight, attn.encodings[1].weight)
    assert torch.equal(loaded.qkv.weight, attn.qkv.weight)
    assert torch.equal(network.stages[2].downsample.reduction.bias, source.stages[2].downsample.reduction.bias)
