"""ViT-Adapter: the authors' numbers, sizes they refuse, a start that leaves the transformer alone, DINOv2 and BEiT."""

from itertools import product

import pytest
import refkit
import torch
import torch.nn.functional as F
from torch import nn

from denseformer.backbones import DINOv2, ViT, ViTAdapter
from denseformer.backbones.plain.vit_adapter import RelativeWindowAttention, TokenWindowAttention
from denseformer.checkpoints.keys import rename

PROBE = dict(width=96, blocks=4, heads=3, deform_heads=6, deform_ratio=0.5, hidden_convs=16, layer_scale=None)
TINY = dict(width=24, blocks=4, heads=2, deform_heads=2, hidden_convs=4, layer_scale=None)
DINO = dict(width=24, blocks=4, heads=2, hidden=32, swiglu=True, patch_size=14, image_size=42)


def test_agrees_with_the_authors_code_in_windows_and_without():
    network = ViTAdapter(arch=PROBE, windows=[3, None, 3, None], image_size=64)
    assert refkit.check(network, 'vit_adapter/probe_windowed') < 1e-4


def test_has_the_parameters_of_the_authors_code_but_the_unused_position_of_a_class_token():
    description = ViTAdapter.describe('tiny')
    assert description.strides == (4, 8, 16, 32)
    assert description.parameters == 7_966_640 - 192


@pytest.mark.parametrize('size', [(32, 32), (65, 97)])
def test_takes_any_size(size):
    network = ViTAdapter(arch=TINY, windows=[2, None, 2, None]).eval()
    with torch.no_grad():
        maps = network(torch.randn(1, 3, *size))
    assert [m.shape[2:] for m in maps] == [tuple(-(-side // stride) for side in size) for stride in (4, 8, 16, 32)]


def test_injectors_start_without_an_effect_on_a_loaded_transformer():
    vit = ViT(arch=dict(width=24, blocks=4, heads=2))
    network = ViTAdapter(arch=TINY).eval()
    names = (
        ('patches.proj', 'proj'),
        ('patch_embed.cls_token', 'cls_token'),
        ('patch_embed.positions.table', 'pos_embed'),
    )
    state = vit.state_dict()
    for ours, theirs in names:
        state = {key.replace(ours, theirs): value for key, value in state.items()}
    left = network.load_state_dict(state, strict=False)
    assert not [key for key in left.missing_keys if key.startswith('encoder.')]
    assert all(not interaction.injector.gamma.any() for interaction in network.interactions)


def test_a_dinov2_keeps_its_class_token_and_leaves_out_what_fills_no_patch():
    network = ViTAdapter(arch={**DINO, 'cls_token': True, 'deform_heads': 2, 'hidden_convs': 4}).eval()
    dino = DINOv2(arch=DINO)
    left = network.load_state_dict(dino.state_dict(), strict=False)
    assert not [key for key in left.missing_keys if key.startswith('encoder.')]
    assert left.unexpected_keys == []
    with torch.no_grad():
        maps = network(torch.randn(1, 3, 65, 97))
    assert [m.shape[2:] for m in maps] == [(17, 25), (9, 13), (5, 7), (3, 4)]
    sizes = []
    network.encoder.patch_embed.register_forward_hook(lambda module, inputs, out: sizes.append(out[1]))
    network(torch.zeros(1, 3, 65, 97))  # padded to 96 x 128, of which patches leave out the rest
    assert sizes == [(6, 9)]
    assert network.encoder.patch_embed.prefix == 1


def test_a_beit_keeps_its_class_token_and_its_biases_of_offsets():
    record = dict(width=24, blocks=4, heads=2, layer_scale=0.1, relative_positions=True)
    torch.manual_seed(0)
    beit = ViT(arch=record, image_size=64).eval()
    for block in beit.blocks:
        torch.nn.init.normal_(block.attn.bias.table)
    network = ViTAdapter(arch={**record, 'cls_token': True, 'deform_heads': 2, 'hidden_convs': 4}, image_size=64).eval()
    left = network.load_state_dict(beit.state_dict(), strict=False)
    assert not [key for key in left.missing_keys if key.startswith('encoder.')]
    assert left.unexpected_keys == []
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for ours, theirs in zip(network.encoder(image), beit(image), strict=True):
            torch.testing.assert_close(ours, theirs)
    decays = {name for name, group in network.encoder.param_groups().items() if group.decay}
    assert 'blocks.0.attn.bias.table' not in decays
    assert 'blocks.0.attn.qkv.weight' in decays


def test_weights_of_the_authors_beit_adapter_load_whole():
    record = dict(width=24, blocks=4, heads=2, layer_scale=0.1, relative_positions=True, cls_token=True)
    network = ViTAdapter(arch={**record, 'deform_heads': 2, 'hidden_convs': 4}, image_size=64)
    names = (
        (r'^encoder\.', ''),
        (r'^patch_embed\.patches\.', 'patch_embed.'),
        (r'^patch_embed\.cls_token$', 'cls_token'),
        (r'\.attn\.bias\.table$', '.attn.relative_position_bias_table'),
        (r'\.attn\.qkv\.([qv]_bias)$', r'.attn.\1'),
        (r'\.gamma([12])$', r'.gamma_\1'),
        (r'^spm\.level_embed$', 'level_embed'),
        (r'^out_norms\.(\d)\.', lambda match: f'norm{int(match[1]) + 1}.'),
        (r'\.ffn\.dwconv\.', '.ffn.dwconv.dwconv.'),
    )
    theirs = rename(network.state_dict(), *names)
    assert {'cls_token', 'level_embed', 'norm4.weight', 'blocks.0.gamma_1', 'blocks.0.attn.q_bias'} <= theirs.keys()
    theirs['blocks.0.attn.relative_position_index'] = torch.zeros(17, 17)
    other = ViTAdapter(arch={**record, 'deform_heads': 2, 'hidden_convs': 4}, image_size=64)
    other.load_state_dict(theirs)
    assert all(torch.equal(one, other.state_dict()[name]) for name, one in network.state_dict().items())


def test_a_beits_shared_table_of_pre_training_goes_to_every_block():
    record = dict(width=24, blocks=4, heads=2, relative_positions=True, cls_token=True, deform_heads=2, hidden_convs=4)
    network = ViTAdapter(arch=record, image_size=64)
    table = torch.randn(7 * 7 + 3, 2)
    left = network.load_state_dict({'rel_pos_bias.relative_position_bias_table': table}, strict=False)
    assert left.unexpected_keys == []
    assert all(torch.equal(block.attn.bias.table, table) for block in network.encoder.blocks)


def test_gated_mlps_load_in_one_layer_or_two():
    network = ViTAdapter(arch={**DINO, 'cls_token': True, 'deform_heads': 2, 'hidden_convs': 4})
    gates, values = torch.randn(2, 32, 24)
    for layers in ({'w1': gates, 'w2': values}, {'w12': torch.cat([gates, values])}):
        network.load_state_dict({f'blocks.0.mlp.{name}.weight': value for name, value in layers.items()}, strict=False)
        assert torch.equal(network.encoder.blocks[0].mlp.fc1.weight, torch.cat([gates, values]))
        torch.nn.init.zeros_(network.encoder.blocks[0].mlp.fc1.weight)


def test_one_training_step_reaches_every_parameter():
    network = ViTAdapter(arch=TINY, drop_path_rate=0.1, with_cp=True).train()
    for interaction in network.interactions:
        torch.nn.init.ones_(interaction.injector.gamma)
    sum(m.square().mean() for m in network(torch.randn(2, 3, 64, 64))).backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]


def test_blocks_that_are_no_quarters_are_refused():
    with pytest.raises(ValueError, match='6 cannot be'):
        ViTAdapter(arch={**TINY, 'blocks': 6})
    with pytest.raises(ValueError, match='each of 4 blocks'):
        ViTAdapter(arch=TINY, windows=[14])
    with pytest.raises(ValueError, match='class token'):
        ViTAdapter(arch={**TINY, 'cls_token': True}, windows=[2, None, 2, None])
    with pytest.raises(ValueError, match='cls_token must be True'):
        ViTAdapter(arch={**TINY, 'relative_positions': True})


def test_the_variant_on_mae_has_no_gains_and_no_further_extractors():
    base, mae = (ViTAdapter.describe(arch).parameters for arch in ('base', 'mae_base'))
    extractors = ViTAdapter.describe(dict(vars(ViTAdapter.archs['base']), extra_extractors=1)).parameters
    assert mae == base - 2 * (base - extractors) - 2 * 12 * 768


def test_detectors_add_the_last_map_to_all_levels_and_segmentors_each_its_own():
    each, last = (ViTAdapter(arch=TINY, last_map=flag).eval() for flag in (False, True))
    last.load_state_dict(each.state_dict())
    tokens = []
    for block in each.encoder.blocks:
        block.register_forward_hook(lambda module, inputs, out: tokens.append(out))
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        pairs = zip(each(image), last(image), tokens, (4, 2, 1, 0.5), strict=True)
    for own, shared, x, scale in pairs:  # BatchNorm is almost the identity at first
        difference = (tokens[-1] - x).transpose(1, 2).unflatten(2, (4, 6))
        if scale != 1:
            difference = F.interpolate(difference, scale_factor=scale, mode='bilinear')
        torch.testing.assert_close(shared - own, difference, rtol=1e-3, atol=1e-4)


BEIT = dict(TINY, cls_token=True, relative_positions=True, layer_scale=1e-6)


def test_a_beit_in_windows_weighs_pairs_by_their_offset_in_the_window():
    attention = RelativeWindowAttention(8, 2, 3)
    for parameter in attention.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(1, 4 * 5, 8)
    padded = F.pad(x.view(4, 5, 8), (0, 0, 0, 1, 0, 2))  # (6, 6, 8)
    expected = torch.zeros(6, 6, 8)
    for top, left in ((0, 0), (0, 3), (3, 0), (3, 3)):
        q, k, v = attention.qkv(padded[top : top + 3, left : left + 3].reshape(1, 9, 8))[0].view(9, 3, 2, 4).unbind(1)
        for i, j in product(range(9), range(2)):
            offsets = [(i // 3 - m // 3 + 2) * 5 + i % 3 - m % 3 + 2 for m in range(9)]
            weights = (k[:, j] @ q[i, j] / 2 + attention.bias.table[offsets, j]).softmax(0)
            expected[top + i // 3, left + i % 3, 4 * j : 4 * j + 4] = weights @ v[:, j]
    torch.testing.assert_close(attention(x, (4, 5)), attention.proj(expected[:4, :5].reshape(1, 20, 8)))


def test_a_beit_in_windows_starts_from_one_without_them_and_leaves_its_class_token_out():
    network = ViTAdapter(arch=BEIT, windows=[4, 4, 4, 6], image_size=64).eval()
    vit = ViT(arch=dict(width=24, blocks=4, heads=2, relative_positions=True, layer_scale=1e-6), image_size=64)
    for block in vit.blocks:
        nn.init.normal_(block.attn.bias.table)
    state = rename(
        vit.state_dict(),
        (r'\.bias\.table$', '.relative_position_bias_table'),
        (r'^patch_embed\.cls_token$', 'cls_token'),
        (r'^patch_embed\.patches\.', 'patch_embed.'),
    )
    left = network.load_state_dict(state, strict=False)
    assert not [key for key in (*left.missing_keys, *left.unexpected_keys) if key.startswith(('encoder.', 'cls_token'))]
    tables = [block.attn.bias.table for block in network.encoder.blocks]
    assert torch.equal(tables[0], vit.blocks[0].attn.bias.table[:-3])
    assert tables[3].shape == (121, 2)
    assert tables[3].abs().sum() > 0
    with torch.no_grad():
        assert len(network(torch.randn(1, 3, 65, 97))) == 4


@pytest.mark.parametrize(
    ('arch', 'windows', 'message'),
    [
        (BEIT, [2, None, 2, 2], 'one in each'),
        (TINY, [2, 2], 'for each of 4'),
        ({**TINY, 'cls_token': True}, [2] * 4, 'class'),
    ],
)
def test_windows_that_a_transformer_cannot_have_are_refused(arch, windows, message):
    with pytest.raises(ValueError, match=message):
        ViTAdapter(arch=arch, windows=windows)


UNI = dict(TINY, layer_scale=0.0, norm_eps=1e-5, unified=True)
"""A Uni-Perceiver's settings."""


def test_a_uni_perceiver_loads_under_its_own_names_and_adds_the_first_position_in_time():
    network = ViTAdapter(arch=UNI, image_size=64).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.1)
    encoder, time = network.encoder.state_dict(), torch.randn(8, 24)
    names = (
        (r'^blocks\.(\d)\.attn\.qkv\.', r'fused_encoder.layers.\1.self_attn.in_proj_'),
        (r'^blocks\.(\d)\.attn\.proj\.', r'fused_encoder.layers.\1.self_attn.out_proj.'),
        (r'^blocks\.(\d)\.mlp\.fc', r'fused_encoder.layers.\1.linear'),
        (r'^blocks\.(\d)\.gamma', r'fused_encoder.layers.\1.gamma_'),
        (r'^blocks\.(\d)\.', r'fused_encoder.layers.\1.'),
        (r'^patch_embed\.norm\.', 'video_embed.embeddings_norm.'),
        (r'^patch_embed\.patches\.proj\.', 'video_embed.embeddings.'),
        (r'^patch_embed\.positions\.table$', 'video_embed.embeddings_st_pos.spatial_pos_embed.weight'),
    )
    theirs = rename(encoder, *names)
    theirs['video_embed.embeddings_st_pos.spatial_pos_embed.weight'] = encoder['patch_embed.positions.table'][0]
    theirs['video_embed.embeddings.bias'] = encoder['patch_embed.patches.proj.bias'] - time[0]
    theirs['video_embed.embeddings_st_pos.temporal_pos_embed.weight'] = time
    other = ViTAdapter(arch=UNI, image_size=64)
    left = other.load_state_dict({**theirs, 'token_embed.weight': torch.zeros(2, 24)}, strict=False)
    assert left.unexpected_keys == []
    assert not [key for key in left.missing_keys if key.startswith('encoder.')]
    for name, value in other.encoder.state_dict().items():
        torch.testing.assert_close(value, encoder[name], msg=name)


def test_windows_of_a_uni_perceiver_are_padded_in_front_of_the_projection():
    attention = TokenWindowAttention(8, 2, 3)
    other = RelativeWindowAttention(8, 2, 3)  # without a bias of keys or offsets
    attention.load_state_dict({key: torch.zeros_like(value) for key, value in attention.state_dict().items()})
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if name != 'bias.table':
                parameter.normal_()
        attention.proj.load_state_dict(other.proj.state_dict())
        attention.qkv.weight.copy_(other.qkv.weight)
        attention.qkv.bias.copy_(torch.cat([other.qkv.q_bias, torch.zeros(8), other.qkv.v_bias]))
    x = torch.randn(2, 20, 8)
    torch.testing.assert_close(attention(x, (4, 5)), other(x, (4, 5)))
