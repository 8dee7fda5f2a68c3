"""TNT and PyramidTNT: published sizes, which blocks have words, and what words see."""

import pytest
import torch

from denseformer.backbones import TNT, PyramidTNT
from denseformer.backbones.global_attention.pyramid_tnt import Merge, PairBias
from denseformer.layers.position import resize_positions

CLASSES = 1000
PLAIN = {'width': 16, 'blocks': 2, 'heads': 2, 'word_width': 8, 'word_heads': 2, 'image_size': 64}
NARROW = {'width': 8, 'words': 2, 'heads': 2, 'word_heads': 1, 'depths': (1, 1, 1, 1)}


def pyramid(image_size) -> PyramidTNT:
    return PyramidTNT(arch=NARROW, image_size=image_size).eval()


def places(grid, channels=8):
    """Positions (h, w, C) that vary slowly, by row and by column."""
    row, column = (torch.linspace(-1, 1, side) for side in grid)
    return (row[:, None] + 2 * column)[..., None] * torch.linspace(1, 2, channels)


@pytest.mark.parametrize(
    ('arch', 'millions'), [('tiny', 10.579), ('small', 31.953), ('medium', 84.944), ('base', 156.99)]
)
def test_the_pyramid_has_the_published_number_of_parameters_with_a_classifier(arch, millions):
    width = PyramidTNT.archs[arch].widths[-1]
    classifier = 2 * width + (width + 1) * CLASSES
    assert (PyramidTNT.describe(arch).parameters + classifier) / 1e6 == pytest.approx(millions, abs=1e-3)


@pytest.mark.parametrize(('arch', 'millions'), [('small', 23.844), ('base', 65.554)])
def test_the_plain_network_has_the_published_number_of_parameters_with_a_classifier_and_a_constant(arch, millions):
    width = TNT.archs[arch].width
    extra = (width + 1) * CLASSES + 14**2 * width
    assert (TNT.describe(arch).parameters + extra) / 1e6 == pytest.approx(millions, abs=1e-3)


def test_long_stages_of_the_pyramid_have_words_in_two_blocks():
    stages = PyramidTNT.on_meta_device(arch='small').stages
    assert [sum(block.words is not None for block in stage.blocks) for stage in stages] == [1, 2, 1, 1]


@torch.no_grad()
def test_words_of_a_patch_see_no_other_patch():
    embed = TNT(arch=PLAIN).patch_embed
    image = torch.randn(1, 3, 32, 48)
    before = embed(image)[0].reshape(2, 3, -1)
    image[:, :, 17, 33] += 1
    changed = (embed(image)[0].reshape(2, 3, -1) - before).abs().sum(-1).nonzero().tolist()
    assert changed == [[1, 2]]


def test_merged_sentences_lay_their_words_out_as_one_map():
    merge = Merge(4, 4, 1, 1)
    merge.word_norm = torch.nn.Identity()
    torch.nn.init.zeros_(merge.word_conv.weight)
    merge.word_conv.weight.data[:, :, 1, 1] = 1  # every second word of the 8 x 8 map
    torch.nn.init.zeros_(merge.word_conv.bias)
    row, column = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing='ij')
    laid_out = (8 * row + column).view(2, 4, 2, 4).permute(0, 2, 1, 3).reshape(1, 2, 2, 16, 1)
    words, _ = merge(laid_out, torch.zeros(1, 2, 2, 4))
    torch.testing.assert_close(words.view(4, 4), (8 * row + column)[::2, ::2])


@torch.no_grad()
def test_biases_of_another_size_keep_a_constant_and_their_order():
    bias = PairBias(2, grid=(4, 4), reduction=2)
    bias.table.copy_(torch.arange(2.0)[:, None, None].expand(2, 16, 4))
    resized = bias((6, 9))
    assert resized.shape == (1, 2, 54, 3 * 4)
    torch.testing.assert_close(resized, torch.arange(2.0).view(1, 2, 1, 1).expand_as(resized))


@torch.no_grad()
def test_a_pyramid_of_oblong_images_keeps_its_own_tables_and_fits_square_ones():
    network = pyramid((64, 128))
    pairs = [tuple(stage.pairs.table.shape) for stage in network.stages]
    assert pairs == [(2, 128, 8), (4, 32, 8), (8, 8, 8), (8, 2, 2)]
    positions = torch.randn(1, 128, 8)
    state = {'outer_pos': positions, 'stages.0.relative_pos': torch.randn(1, 2, 128, 8)}
    network.load_state_dict(state, strict=False)
    assert torch.equal(network.patch_embed.pos_embed.flatten(0, 1), positions[0])
    assert torch.equal(network.stages[0].pairs.table, state['stages.0.relative_pos'][0])
    square = {'outer_pos': torch.ones(1, 64, 8), 'stages.0.relative_pos': torch.full((1, 2, 64, 4), 2.0)}
    network.load_state_dict(square, strict=False)
    assert (network.patch_embed.pos_embed == 1).all()
    torch.testing.assert_close(network.stages[0].pairs.table, torch.full((2, 128, 8), 2.0))
    with pytest.raises(ValueError, match='not square'):
        network.load_state_dict({'outer_pos': torch.ones(1, 50, 8)}, strict=False)


@pytest.mark.parametrize('size', [(144, 256), (256, 144)])  # 18 x 32 and 32 x 18 sentences: as many as 24 x 24
@torch.no_grad()
def test_a_square_table_of_a_pyramid_is_resized_with_its_biases_where_an_oblong_one_has_as_many_places(size):
    network = pyramid(size)
    biases = torch.randn(1, 2, 24**2, 6**2)
    network.load_state_dict(
        {'outer_pos': places((24, 24)).view(1, -1, 8), 'stages.0.relative_pos': biases}, strict=False
    )
    grid = tuple(network.patch_embed.pos_embed.shape[:2])
    torch.testing.assert_close(network.patch_embed.pos_embed.data, resize_positions(places((24, 24)), grid))
    pairs = network.stages[0].pairs
    torch.testing.assert_close(pairs.table.data, pairs.resize(biases[0], (24, 24), grid))


@pytest.mark.parametrize(('old', 'new'), [((128, 256), (96, 160)), ((64, 128), (128, 64)), ((96, 216), 144)])
@torch.no_grad()
def test_tables_of_an_oblong_pyramid_load_at_any_other_size(old, new):
    source, network = pyramid(old), pyramid(new)
    network.load_state_dict(source.state_dict())
    resized = resize_positions(source.patch_embed.pos_embed, tuple(network.patch_embed.pos_embed.shape[:2]))
    assert torch.equal(network.patch_embed.pos_embed, resized)
    for ours, theirs in zip(network.stages, source.stages, strict=True):
        assert torch.equal(ours.pairs.table, theirs.pairs(ours.pairs.grid)[0])


def test_an_imagenet_checkpoint_of_the_plain_network_loads_at_another_size():
    network = TNT(arch=PLAIN, image_size=96)
    left = network.load_state_dict(
        {
            'outer_tokens': torch.zeros(1, 16, 16),
            'outer_pos': torch.full((1, 17, 16), 0.5),
            'inner_pos': torch.full((1, 16, 8), 1.0),
            'proj_norm2.bias': torch.full((16,), 2.0),
            'blocks.1.proj.weight': torch.full((16, 128), 3.0),
            'blocks.1.inner_attn.qk.weight': torch.full((16, 8), 4.0),
            'blocks.0.outer_mlp.fc2.bias': torch.full((16,), 5.0),
            'head.weight': torch.ones(1000, 16),
        },
        strict=False,
    )
    assert not left.unexpected_keys
    torch.testing.assert_close(network.patch_embed.positions.table.data, torch.full((1, 37, 16), 0.5))
    assert (network.patch_embed.word_positions == 1).all()
    assert (network.patch_embed.join[2].bias == 2).all()
    assert (network.blocks[1].join[1].weight == 3).all()
    assert (network.blocks[1].inner.attn.qk.weight == 4).all()
    assert (network.blocks[0].outer.mlp.fc2.bias == 5).all()


def test_the_patch_is_a_multiple_of_a_word():
    with pytest.raises(ValueError, match='multiple of 4'):
        TNT(arch=PLAIN, patch_size=14)
