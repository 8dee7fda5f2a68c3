"""SAM's image encoder: published sizes, its neck, and how a checkpoint of 1024 pixels serves other sizes."""

import pytest
import torch

from denseformer.attention.softmax import window_softmax_attention
from denseformer.backbones import SAM
from denseformer.backbones.plain.sam import offset_vectors, relative_attention

PROBE = dict(width=32, blocks=2, heads=2, window=5, global_blocks=(1,), neck_width=16)


@pytest.mark.parametrize(('arch', 'millions'), [('base', 89.671), ('large', 308.278), ('huge', 637.026)])
def test_has_the_published_number_of_parameters(arch, millions):
    assert SAM.describe(arch, neck=True).parameters / 1e6 == pytest.approx(millions, abs=1e-3)


def test_further_channels_stand_for_a_bias_of_the_size_of_the_logits():
    H, W, heads, d = 3, 5, 2, 4
    qkv, rows, columns = torch.randn(2, H, W, 3 * heads * d), torch.randn(H, H, d), torch.randn(W, W, d)
    q, k, v = qkv.flatten(1, 2).unflatten(2, (3, heads, d)).permute(2, 0, 3, 1, 4)
    square = q.unflatten(2, (H, W))
    by_row = torch.einsum('nhijd,ikd->nhijk', square, rows)[..., :, None]
    by_column = torch.einsum('nhijd,jkd->nhijk', square, columns)[..., None, :]
    bias = (by_row + by_column).flatten(4).flatten(2, 3)
    expected = window_softmax_attention(q, k, v, bias).unflatten(1, (H, W))
    torch.testing.assert_close(relative_attention(qkv, heads, rows, columns), expected)


def test_offsets_count_from_key_to_query():
    table = torch.arange(5.0)[:, None]  # offsets -2 .. 2
    assert offset_vectors(table, 3)[..., 0].tolist() == [[2, 1, 0], [3, 2, 1], [4, 3, 2]]


def test_the_neck_is_one_more_map():
    network = SAM(arch=PROBE, neck=True).eval()
    with torch.no_grad():
        maps = network(torch.randn(1, 3, 80, 96))
    assert [m.shape[1:] for m in maps] == [(32, 5, 6), (16, 5, 6)]
    assert network.out_channels == (32, 16)
    assert network.out_strides == (16, 16)


def test_a_whole_models_checkpoint_of_another_size_loads():
    source, network = (SAM(arch=PROBE, image_size=size, neck=True) for size in (128, 80))
    state = {f'image_encoder.{key}': value for key, value in source.state_dict().items()}
    state['image_encoder.pos_embed'] = state.pop('image_encoder.patch_embed.positions.table').view(1, 8, 8, 32)
    state['mask_decoder.iou_token.weight'] = torch.zeros(1)
    left = network.load_state_dict(state)
    assert not left.missing_keys
    assert not left.unexpected_keys
    assert network.blocks[1].attn.rel_pos_h.shape == (9, 16)


def test_a_table_that_says_its_grid_is_of_that_grid():
    wide, square = (SAM(arch=PROBE, image_size=size) for size in ((64, 256), 128))  # 4 x 16 and 8 x 8 patches
    table = torch.randn(1, 4, 16, 32)
    for network in (wide, square):
        network.load_state_dict({'pos_embed': table}, strict=False)
    torch.testing.assert_close(wide.patch_embed.positions.table.data, table.flatten(1, 2))
    expected = square.patch_embed.positions.resize(table.flatten(1, 2), (4, 16), (8, 8))
    torch.testing.assert_close(square.patch_embed.positions.table.data, expected)


def test_a_neck_without_the_last_block_is_refused():
    with pytest.raises(ValueError, match='out_indices must end with 11'):
        SAM.on_meta_device(arch='base', neck=True, out_indices=(2,))
