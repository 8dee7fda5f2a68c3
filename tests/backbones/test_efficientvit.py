"""EfficientViT: cascaded heads, windows on any map, and tables of other windows."""

import pytest
import torch

from denseformer.attention.windows import distance_index
from denseformer.backbones import EfficientViT
from denseformer.backbones.light.efficientvit import CascadedGroupAttention, WindowedAttention

THOUSANDS = {'m0': 2156, 'm1': 2787, 'm2': 3962, 'm3': 6579, 'm4': 8419, 'm5': 12089}
SMALL = {'widths': (16, 16, 32), 'depths': (1, 1, 1), 'heads': (2, 2, 2)}


@pytest.mark.parametrize('arch', EfficientViT.archs)
def test_has_the_published_number_of_parameters(arch):
    assert round(EfficientViT.describe(arch).parameters / 1e3) == THOUSANDS[arch]


def test_distances_are_numbered_row_by_row():
    index = distance_index((3, 4))
    assert index[0].tolist() == list(range(12))
    assert torch.equal(index, index.T)
    assert index[5, 2] == 1 * 4 + 1  # (1, 1) and (0, 2)


def test_a_later_head_sees_the_channels_of_the_heads_before_it():
    attention = CascadedGroupAttention(8, 2, (3, 3)).eval()
    heads = []
    attention.proj.register_forward_pre_hook(lambda module, inputs: heads.append(inputs[0]))
    windows = torch.randn(2, 8, 7, 7)
    for changed in (
        windows,
        windows + torch.arange(8).view(-1, 1, 1).lt(4),
        windows + torch.arange(8).view(-1, 1, 1).ge(4),
    ):
        attention(changed)
    whole, first, second = heads
    assert not torch.equal(whole[:, :4], first[:, :4])
    assert not torch.equal(whole[:, 4:], first[:, 4:])
    assert torch.equal(whole[:, :4], second[:, :4])
    assert not torch.equal(whole[:, 4:], second[:, 4:])


def test_windows_do_not_see_one_another_and_small_maps_are_padded():
    attention = WindowedAttention(8, 2, (3, 3)).eval()
    torch.nn.init.ones_(attention.windowed.proj.norm.weight)
    x = torch.randn(1, 8, 14, 9)
    torch.testing.assert_close(attention(x)[..., :7, :7], attention(x[..., :7, :7]))
    padded = torch.nn.functional.pad(x[..., :5, :3], (0, 4, 0, 2))
    torch.testing.assert_close(attention(x[..., :5, :3]), attention(padded)[..., :5, :3])


def test_an_imagenet_checkpoints_tables_are_resized_and_its_constants_dropped():
    network = EfficientViT(arch=SMALL)
    table = torch.arange(16.0).expand(2, 16)
    checkpoint = {
        'blocks1.0.dw1.m.bn.bias': torch.full((16,), 2.0),
        'blocks3.3.mixer.m.attn.attention_biases': table,
        'blocks3.3.mixer.m.attn.attention_bias_idxs': torch.zeros(16, 16, dtype=torch.long),
        'blocks3.3.mixer.m.attn.dws.1.c.weight': torch.full((16, 1, 5, 5), 3.0),
        'head.l.bias': torch.ones(1000),
    }
    left = network.load_state_dict(checkpoint, strict=False)
    assert not left.unexpected_keys
    assert (network.stages[0].blocks[0].after.conv.norm.bias == 2).all()
    attention = network.stages[2].blocks[0].attn.windowed
    assert (attention.query_conv[1].conv.weight == 3).all()
    expected = torch.nn.functional.interpolate(table.view(1, 2, 4, 4), size=(7, 7), mode='bicubic')
    torch.testing.assert_close(attention.bias.table.data, expected.view(2, 49))


def test_tables_take_no_weight_decay():
    roles = EfficientViT.on_meta_device(arch=SMALL).param_groups()
    assert not any(role.decay for name, role in roles.items() if name.endswith('.bias.table'))
    assert all(role.decay for name, role in roles.items() if not name.endswith('.bias.table'))
