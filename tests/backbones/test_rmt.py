"""RMT: decays with distance, rotated queries and keys, attention along rows and columns."""

import pytest
import torch

from denseformer.attention.axial import column_attention, row_attention
from denseformer.attention.rotary import rotate, row_major_rotation
from denseformer.backbones import RMT
from denseformer.backbones.global_attention.rmt import ManhattanAttention

PARAMETERS = {'tiny': 12_783_776, 'small': 25_416_800, 'base': 52_604_680, 'large': 93_784_280}


@pytest.mark.parametrize('arch', PARAMETERS)
def test_variants_have_the_published_parameters(arch):
    assert RMT.describe(arch).parameters == PARAMETERS[arch]


def test_logits_fall_with_the_manhattan_distance():
    attention = ManhattanAttention(8, 2, decomposed=False, span=4)
    _, decay = attention.context(torch.zeros(1, 3, 5, 8))
    decay = decay.view(2, 3, 5, 3, 5)
    torch.testing.assert_close(decay[:, 2, 1, 0, 4], 5 * decay[:, 0, 0, 0, 1])
    torch.testing.assert_close(decay[0, 0, 0, 0, 1], torch.tensor(0.75).log())


def test_rotation_keeps_lengths_and_depends_on_the_offset_in_row_major_order_only():
    q, k = torch.randn(2, 1, 1, 1, 1, 8).expand(-1, -1, 4, 6, -1, -1)
    rotation = row_major_rotation((4, 6), 8, q.device)
    turned_q, turned_k = rotate(q, rotation).flatten(1, 2)[0, :, 0], rotate(k, rotation).flatten(1, 2)[0, :, 0]
    torch.testing.assert_close(turned_q.norm(dim=-1), q[0, :, :, 0].norm(dim=-1).flatten())
    torch.testing.assert_close(turned_q[3] @ turned_k[10], turned_q[12] @ turned_k[19])


def test_column_attention_is_row_attention_of_the_transposed_map():
    q, k, v = torch.randn(3, 2, 3, 5, 2, 4)
    bias = torch.randn(1, 2, 3, 3)
    expected = row_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), bias).transpose(1, 2)
    torch.testing.assert_close(column_attention(q, k, v, bias), expected)


def test_an_imagenet_checkpoint_loads_with_joined_projections_and_without_classifier_and_constants():
    network = RMT()
    parts = {f'layers.0.blocks.1.retention.{name}_proj.bias': torch.full((64,), i) for i, name in enumerate('qkv')}
    head = {'proj.weight': torch.zeros(1024, 512), 'norm.bias': torch.zeros(1024), 'head.bias': torch.zeros(1000)}
    left = network.load_state_dict({**parts, **head, 'layers.0.Relpos.decay': torch.zeros(4)}, strict=False)
    assert not left.unexpected_keys
    assert network.stages[0].blocks[1].attn.qkv.bias.view(3, 64).mean(1).tolist() == [0, 1, 2]
