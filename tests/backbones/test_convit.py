"""ConViT: attention by offsets, its start, and the class token that joins late."""

import pytest
import torch

from denseformer.backbones import ConViT
from denseformer.backbones.plain.convit import GatedPositionalAttention

TINY = {'width': 18, 'blocks': 3, 'heads': 9, 'local_blocks': 2, 'image_size': 64}


@pytest.mark.parametrize(('arch', 'millions'), [('tiny', 5.711)])
def test_has_the_published_number_of_parameters_with_a_classifier_and_biases_of_offsets(arch, millions):
    record = ConViT.archs[arch]
    extra = (record.width + 1) * 1000 + record.local_blocks * record.heads
    assert (ConViT.describe(arch).parameters + extra) / 1e6 == pytest.approx(millions, abs=1e-3)


@torch.no_grad()
def test_attention_by_offset_is_a_softmax_over_all_patches():
    attention, (H, W) = GatedPositionalAttention(4, 2), (3, 4)
    attention.gate.fill_(1e3)  # by offset alone
    torch.nn.init.normal_(attention.offsets)
    attention.proj = torch.nn.Identity()
    x = torch.randn(2, H * W, 4)
    row, column = torch.arange(H).repeat_interleave(W), torch.arange(W).repeat(H)
    dy, dx = row - row[:, None], column - column[:, None]
    offsets = torch.stack([dx, dy, dx**2 + dy**2], -1).float()  # (N, N, 3)
    weights = (offsets @ attention.offsets.T).permute(2, 0, 1).softmax(-1)  # (h, N, N)
    expected = weights @ attention.v(x).unflatten(2, (2, 2)).transpose(1, 2)
    torch.testing.assert_close(attention(x, (H, W)), expected.transpose(1, 2).flatten(2))


def test_heads_start_at_the_places_of_a_kernel_and_pass_values_on():
    attention = ConViT(arch=TINY).blocks[0].attn
    assert torch.equal(attention.v.weight, torch.eye(18))
    centers = (attention.offsets[:, :2] / 2).int().tolist()
    assert centers == [[dx, dy] for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
    assert (attention.offsets[:, 2] == -1).all()


def test_the_class_token_joins_behind_the_gated_blocks():
    network = ConViT(arch=TINY, out_indices=(2,), output_tokens=True)
    network.load_state_dict({'cls_token': torch.full((1, 1, 18), 2.0)}, strict=False)
    assert (network.blocks[2].cls_token == 2).all()
    ((patches, tokens),) = network(torch.randn(1, 3, 32, 48))
    assert patches.shape == (1, 18, 2, 3)
    assert tokens.shape == (1, 1, 18)
    with pytest.raises(ValueError, match='before block 2'):
        ConViT.on_meta_device(arch=TINY, out_indices=(1, 2), output_tokens=True)
