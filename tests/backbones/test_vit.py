"""ViT and its relatives against timm's and BEiT's code, and the layouts that their checkpoints come in."""

import pytest
import refkit
import torch
import torch.nn.functional as F
from mmengine.logging import MMLogger

from denseformer.backbones import ViT
from denseformer.backbones.plain.embedding import sine_positions, warn_once
from denseformer.backbones.plain.vit import stretched

PROBE = dict(width=96, blocks=4, heads=3)


def outputs(network, state, run):
    left = network.load_state_dict(state, strict=False)
    assert not left.missing_keys
    with torch.no_grad():
        return network.eval()(refkit.make_input(run))


def test_agrees_with_timm_raw_and_normed():
    reference = refkit.load_reference('vit/vit_s16_timm')
    run, state = reference['runs'][0], refkit.fill_state_dict(reference['shapes'])
    raw = outputs(ViT(arch='small'), state, run)
    normed = outputs(ViT(arch='small', out_indices=(11,), norm_outputs=True), state, run)
    assert refkit.deviation([*raw, *normed], run['outputs']) < 1e-4


def sines(grid):
    """Positions (1, 1 + h * w, 96) that vary slowly, the class token's in front."""
    return sine_positions(grid, 96, torch.device('cpu'), torch.float32)


def loaded(name, table, size):
    """The table of a network for images of `size` (height, width) behind a file that has `table`."""
    network = ViT(arch={**PROBE, 'blocks': 1}, image_size=size)
    network.load_state_dict({name: table}, strict=False)
    return network.patch_embed.positions, network.patch_embed.positions.table.data


@pytest.mark.parametrize('rows', [1, 0], ids=['with the class token', 'patches alone'])
def test_an_official_table_is_of_a_square_image_unless_neighbors_on_an_oblong_one_are_clearly_more_alike(rows):
    size = (64, 144)  # 4 x 9 patches, as many as 6 x 6
    for grid in ((6, 6), (4, 9)):
        positions, found = loaded('pos_embed', sines(grid)[:, 1 - rows :], size)
        torch.testing.assert_close(found, positions.resize(sines(grid), grid, (4, 9)))


def test_what_is_taken_of_two_grids_is_logged(caplog):
    caplog.set_level('WARNING', logger='mmengine')
    MMLogger.get_current_instance().addHandler(caplog.handler)
    warn_once.cache_clear()
    loaded('pos_embed', sines((6, 6)), (64, 144))
    loaded('patch_embed.positions.table', sines((4, 9)), (64, 144))
    loaded('pos_embed', sines((4, 6)), (64, 96))
    square, own = (record.getMessage() for record in caplog.records if 'position table' in record.getMessage())
    assert 'one of 6 x 6 patches, as official ones are, and not of 4 x 9' in square
    assert "one of 4 x 9 patches, as its names are this package's, and not of 6 x 6" in own


@pytest.mark.parametrize('size', [(192, 768), (288, 512), (16, 9216)])  # 12 x 48, 18 x 32 and 1 x 576 patches
def test_a_noisy_official_table_is_of_a_square_image(size):
    torch.manual_seed(0)
    noisy = sines((24, 24)) + 0.4 * torch.randn(1, 577, 96)
    positions, found = loaded('pos_embed', noisy, size)
    torch.testing.assert_close(found, positions.resize(noisy, (24, 24), positions.grid))


@pytest.mark.parametrize('size', [(64, 96), (96, 64)])
def test_an_official_table_of_as_many_patches_as_no_square_has_is_kept(size):
    for rows in (0, 1):
        table = torch.randn(1, 25, 96)[:, 1 - rows :]
        _, found = loaded('pos_embed', table, size)
        torch.testing.assert_close(found[:, 1:], table[:, rows:])


def by_row(grid):
    return torch.arange(grid[0]).repeat_interleave(grid[1])[None, :, None].expand(1, -1, 96).float()


@pytest.mark.parametrize('size', [(16, 256), (16, 240), (64, 144), (144, 64), (288, 512)])
def test_a_network_gets_its_own_table_back_whatever_it_holds(size):
    for fill in (torch.randn, lambda *shape: torch.zeros(shape)):
        table = fill(1, 1 + size[0] * size[1] // 256, 96)
        assert torch.equal(loaded('patch_embed.positions.table', table, size)[1], table)
    rows = F.pad(by_row((size[0] // 16, size[1] // 16)), (0, 0, 1, 0))
    assert torch.equal(loaded('patch_embed.positions.table', rows, size)[1], rows)


def test_biases_of_queries_alone_are_left_to_the_loader_to_name():
    network = ViT(arch=PROBE, image_size=64)
    left = network.load_state_dict({'blocks.0.attn.q_bias': torch.zeros(96)}, strict=False)
    assert left.unexpected_keys == ['blocks.0.attn.qkv.q_bias']


def test_positions_of_registers_in_timms_table_go_into_the_registers():
    network = ViT(arch=PROBE, image_size=64, registers=4)
    table = torch.randn(1, 1 + 4 + 16, 96)
    network.load_state_dict({'pos_embed': table, 'reg_token': torch.ones(1, 4, 96)}, strict=False)
    torch.testing.assert_close(network.patch_embed.register_tokens.data, 1 + table[:, 1:5])
    torch.testing.assert_close(network.patch_embed.positions.table.data, torch.cat([table[:, :1], table[:, 5:]], 1))


def test_offsets_of_an_image_that_is_not_square_are_refused_at_another_size():
    wide, square = (ViT(arch=dict(**PROBE, relative_positions=True), image_size=size) for size in ((64, 96), 64))
    with pytest.raises(ValueError, match='not square, of a size unknown'):
        square.load_state_dict(wide.state_dict())


def test_relative_positions_agree_with_beit_and_its_pyramid_of_transposed_convolutions():
    reference = refkit.load_reference('vit/probe_beit_64x96')
    run, state = reference['runs'][0], refkit.fill_state_dict(reference['shapes'])
    neck = {key: state.pop(key) for key in list(state) if key.startswith('fpn')}
    arch = dict(**PROBE, layer_scale=0.1, relative_positions=True)
    a, b, c, d = outputs(ViT(arch=arch, image_size=(64, 96)), state, run)
    a = F.conv_transpose2d(a, neck['fpn1.0.weight'], neck['fpn1.0.bias'], 2)
    statistics = neck['fpn1.1.running_mean'], neck['fpn1.1.running_var']
    a = F.gelu(F.batch_norm(a, *statistics, neck['fpn1.1.weight'], neck['fpn1.1.bias']))
    a = F.conv_transpose2d(a, neck['fpn1.3.weight'], neck['fpn1.3.bias'], 2)
    b = F.conv_transpose2d(b, neck['fpn2.0.weight'], neck['fpn2.0.bias'], 2)
    assert refkit.deviation([a, b, c, F.max_pool2d(d, 2)], run['outputs']) < 1e-4


@pytest.mark.parametrize(('arch', 'millions'), [('tiny', 5.524), ('small', 21.666), ('base', 85.799)])
def test_published_parameter_counts_without_the_classifier(arch, millions):
    assert ViT.describe(arch, norm_outputs=True).parameters / 1e6 == pytest.approx(millions, abs=1e-3)


def test_a_table_of_another_size_and_kernels_of_another_patch_load():
    source = ViT(arch=PROBE, image_size=64)
    network = ViT(arch=PROBE, image_size=112, patch_size=14)
    assert not network.load_state_dict(source.state_dict()).missing_keys
    assert network.patch_embed.positions.table.shape == (1, 65, 96)


def test_resampled_kernels_see_in_a_large_image_what_the_old_ones_saw():
    small = ViT(arch=PROBE, image_size=64, patch_size=16)
    large = ViT(arch=PROBE, image_size=128, patch_size=32)
    large.load_state_dict(small.state_dict())
    patch = torch.randn(1, 3, 16, 16)
    wide = F.interpolate(patch, (32, 32), mode='bicubic', align_corners=False, antialias=True)
    torch.testing.assert_close(large.patch_embed.patches(wide), small.patch_embed.patches(patch), atol=1e-4, rtol=1e-4)


def test_a_table_without_a_row_for_the_class_token_loads_with_zeros_there():
    network = ViT(arch=PROBE, image_size=64)
    state = network.state_dict()
    state['pos_embed'] = state.pop('patch_embed.positions.table')[:, 1:]
    network.load_state_dict(state)
    assert not network.patch_embed.positions.table[:, 0].any()


def test_mmsegmentations_layout_loads():
    network = ViT(arch=PROBE, image_size=64, norm_outputs=True)
    names = {
        'patch_embed.patches.proj.': 'patch_embed.projection.',
        'patch_embed.cls_token': 'cls_token',
        'patch_embed.positions.table': 'pos_embed',
        'blocks.': 'layers.',
        '.norm': '.ln',
        'attn.qkv.': 'attn.attn.in_proj_',
        'attn.proj.': 'attn.attn.out_proj.',
        'mlp.fc1.': 'ffn.layers.0.0.',
        'mlp.fc2.': 'ffn.layers.1.',
    }
    state = {}
    for key, value in network.state_dict().items():
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        state['ln1.' + key[5:] if key.startswith('norm.') else key] = value + 1
    expected = {key: value + 1 for key, value in network.state_dict().items()}
    network.load_state_dict(state)
    assert all(torch.equal(value, expected[key]) for key, value in network.state_dict().items())


def test_a_distilled_deit_computes_with_its_second_token_as_a_register():
    network = ViT(arch=PROBE, image_size=64, registers=1)
    state = network.state_dict()
    table = state.pop('patch_embed.positions.table')
    state['dist_token'] = torch.ones_like(state.pop('patch_embed.register_tokens'))
    state['pos_embed'] = torch.cat([table[:, :1], torch.full_like(table[:, :1], 2.0), table[:, 1:]], 1)
    network.load_state_dict(state)
    assert (network.patch_embed.register_tokens == 3).all()
    torch.testing.assert_close(network.patch_embed.positions.table.data, table)


def test_the_one_table_of_beits_pre_training_goes_to_every_block():
    network = ViT(arch=dict(**PROBE, relative_positions=True), image_size=(64, 64))
    state = {key: value for key, value in network.state_dict().items() if 'bias.table' not in key}
    state['rel_pos_bias.relative_position_bias_table'] = torch.randn(13 * 13 + 3, 3)  # of a 112-pixel image
    assert not network.load_state_dict(state).missing_keys
    first, *others = (block.attn.bias.table for block in network.blocks)
    assert first.shape == (7 * 7 + 3, 3)
    assert all(torch.equal(first, other) for other in others)


def test_heads_of_beits_pre_training_are_left_out():
    network = ViT(arch=dict(**PROBE, relative_positions=True), image_size=64)
    heads = {'lm_head.weight': torch.zeros(1), 'cls_pt_layers.0.norm1.weight': torch.zeros(1)}
    assert not network.load_state_dict({**network.state_dict(), **heads}).unexpected_keys


@torch.no_grad()
def test_a_bias_of_keys_changes_no_map_and_may_be_missing_or_left_out():
    arch, image = dict(**PROBE, layer_scale=1.0), torch.randn(1, 3, 64, 64)
    both = ViT(arch=arch, image_size=64, relative_bias=True).eval()
    for block in both.blocks:
        torch.nn.init.normal_(block.attn.bias.table)
        torch.nn.init.normal_(block.attn.qkv.bias)
    torch.nn.init.zeros_(both.patch_embed.positions.table)
    beit = ViT(arch=dict(**arch, relative_positions=True), image_size=64).eval()
    beit.load_state_dict({k: v for k, v in both.state_dict().items() if 'positions' not in k})
    again = ViT(arch=arch, image_size=64, relative_bias=True).eval()
    again.load_state_dict({**beit.state_dict(), 'pos_embed': both.patch_embed.positions.table})
    for expected, *others in zip(both(image), beit(image), again(image), strict=True):
        for other in others:
            torch.testing.assert_close(other, expected, rtol=1e-4, atol=1e-4)


def test_mae_starts_fine_tuning_with_biases_of_zero():
    plain, biased = (ViT(arch=PROBE, image_size=64, relative_bias=bias).eval() for bias in (False, True))
    left = biased.load_state_dict(plain.state_dict(), strict=False)
    assert {key.split('.', 2)[2] for key in left.missing_keys} == {'attn.bias.table'}
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for a, b in zip(plain(image), biased(image), strict=True):
            torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(('arch', 'rates'), [({}, [0, 0.1, 0.2, 0.3]), (dict(uniform_drop_path=True), [0.3] * 4)])
def test_stochastic_depth_grows_or_is_that_of_the_last_block_in_all(arch, rates):
    network = ViT.on_meta_device(arch=dict(**PROBE, **arch), drop_path_rate=0.3)
    assert [block.drop_path.rate for block in network.blocks] == pytest.approx(rates)


@pytest.mark.parametrize(('old', 'new'), [(14, 40), (14, 24), (4, 7)])
def test_offsets_of_a_larger_table_are_spread_geometrically(old, new):
    """Among them are the known values, the nearest offset's in its place and the widest one's at the new end."""
    weights = stretched(old, new)
    assert weights.shape == (2 * new - 1, 2 * old - 1)
    torch.testing.assert_close(weights.sum(1), torch.ones(2 * new - 1, dtype=torch.float64))
    known, middle = torch.eye(2 * old - 1, dtype=torch.float64), new - 1
    for place, offset in ((0, -old + 1), (middle - 1, -1), (middle, 0), (middle + 1, 1), (2 * new - 2, old - 1)):
        torch.testing.assert_close(weights[place], known[offset + old - 1], rtol=0, atol=1e-3)


def test_a_table_of_another_size_takes_beits_rule_along_both_axes():
    network = ViT(arch=dict(**PROBE, relative_positions=True), image_size=(96, 64))
    table = torch.randn(7 * 7 + 3, 3)
    network.load_state_dict({'blocks.0.attn.relative_position_bias_table': table}, strict=False)
    offsets = torch.einsum('yi,xj,ijh->yxh', stretched(4, 6).float(), stretched(4, 4).float(), table[:-3].view(7, 7, 3))
    expected = torch.cat([offsets.flatten(0, 1), table[-3:]])
    torch.testing.assert_close(network.blocks[0].attn.bias.table.data, expected)


def test_registers_and_relative_positions_exclude_each_other():
    with pytest.raises(ValueError, match='registers must be 0'):
        ViT(arch='beit_base', registers=4)
