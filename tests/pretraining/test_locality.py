"""Locality alignment: the authors' masks, what the frozen network sees, and what is trained."""

import numpy as np
import pytest
import refkit
import torch

from denseformer.backbones import DINOv2, ViT
from denseformer.pretraining import LocalityAlignment
from denseformer.pretraining.locality import (
    MaskEmbedDecoder,
    bernoulli,
    black_out,
    blockwise,
    uniform,
    with_complements,
)

ARCH = dict(width=24, blocks=3, heads=2)
DINO = dict(type='denseformer.DINOv2', arch=ARCH, registers=2, image_size=56, logit_cap=30.0)
PLAIN = dict(type='denseformer.ViT', arch=ARCH, image_size=64)


def test_masks_are_the_authors():
    expected = refkit.load_reference('locality_alignment/masks')['runs'][0]['outputs']
    free, random = (with_complements(draw, np.random.default_rng(0), 4, (4, 4)) for draw in (uniform, bernoulli))
    # The authors' blocks are without whole images; they complete the first image's mask alone then.
    blocks = with_complements(blockwise, np.random.default_rng(0), 2, (14, 14))[[0, 1, 3, 4]]
    blocks[3] = 0
    image = refkit.make_input(dict(input=(2, 3, 32, 32), seed=0, kind='normal'))
    hidden = black_out(image, free[:2], (4, 4), 8)
    assert refkit.deviation([free, random, blocks, hidden], expected) < 1e-4


def test_masks_come_with_their_complement_and_the_whole_image():
    masks = with_complements(uniform, np.random.default_rng(1), 3, (4, 6)).view(3, 3, 24)
    assert (masks[:, 0] + masks[:, 1] == 1).all()
    assert (masks[:, 2] == 1).all()
    rows = with_complements(blockwise, np.random.default_rng(1), 1, (5, 9))
    assert rows[0].mean() >= 0.4
    assert not rows[2].any()


def test_what_does_not_fill_a_patch_is_black():
    seen = black_out(torch.ones(1, 3, 30, 34), torch.ones(1, 4), (2, 2), 14)
    assert seen[..., :28, :28].all()
    assert not seen[..., 28:, :].any()
    assert not seen[..., 28:].any()


def test_a_decoder_sees_nothing_of_what_is_deleted():
    decoder = MaskEmbedDecoder(24, 12, grid=(2, 3), prefix=1, heads=2).eval()
    x, mask = torch.randn(1, 7, 24), torch.tensor([[1.0, 0, 1, 0, 0, 1]])
    changed = x.clone()
    changed[:, [0, 2, 4, 5]] += 1
    torch.testing.assert_close(decoder(changed, mask, (2, 3)), decoder(x, mask, (2, 3)))


def test_a_decoder_takes_the_authors_names():
    decoder = MaskEmbedDecoder(24, 12, grid=(2, 3), prefix=1, heads=2)
    names = {'positions.table': 'pos_embed', '.gamma1': '.ls1.gamma', '.gamma2': '.ls2.gamma'}
    theirs = {}
    for key, value in decoder.state_dict().items():
        for ours, other in names.items():
            key = key.replace(ours, other)
        theirs[key] = value
    assert 'blocks.0.ls1.gamma' in theirs
    decoder.load_state_dict(theirs)


@pytest.mark.parametrize('backbone', [DINO, PLAIN], ids=['registers', 'class token'])
def test_the_frozen_network_is_the_start_without_its_last_block(backbone):
    model = LocalityAlignment(backbone=backbone)
    model.init_weights()
    assert len(model.teacher.blocks) == 2
    for name, value in model.teacher.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], value), name
    losses = [model.train()(torch.randn(2, 3, 56, 70), mode='loss')['loss'] for _ in range(2)]
    losses[-1].backward()
    assert not model.teacher.training
    assert {name.split('.')[0] for name, p in model.named_parameters() if p.grad is not None} <= {
        'backbone',
        'head',
        'decoder',
    }
    assert model.head.weight.grad.abs().sum() > 0
    assert model(torch.randn(1, 3, 56, 70)).shape[:2] == (1, 24)


def test_targets_have_unit_deviation():
    model = LocalityAlignment(backbone=DINO, scaled_steps=2)
    target = 3 * torch.randn(4, 9, 24) + 1
    scaled = target * model.scale_of(target)
    torch.testing.assert_close(scaled.var(), torch.ones(()), rtol=0.01, atol=0)
    for _ in range(3):
        scale = model.scale_of(10 * target)
    assert scale == model.scale_of(target)


def test_capped_logits_change_nothing_where_they_are_small_and_stay_within_the_cap_where_they_are_not():
    x = 1e-3 * torch.randn(1, 3, 32, 32)
    free, capped = (ViT(arch=ARCH, image_size=32, logit_cap=cap).eval() for cap in (None, 1e6))
    capped.load_state_dict(free.state_dict())
    torch.testing.assert_close(capped(x)[-1], free(x)[-1], atol=1e-4, rtol=1e-4)
    tight = DINOv2(arch=ARCH, image_size=56, logit_cap=1e-6).eval()
    attention = tight.blocks[0].attn
    tokens = torch.randn(1, 5, 24)
    values = tokens @ attention.qkv.weight[48:].T + attention.qkv.bias[48:]
    mean = attention.proj(values.mean(1, keepdim=True)).expand(-1, 5, -1)
    torch.testing.assert_close(attention(tokens), mean, atol=1e-5, rtol=1e-4)


def test_what_cannot_be_aligned_is_refused():
    with pytest.raises(ValueError, match='a plain backbone with a final norm'):
        LocalityAlignment(backbone=dict(type='denseformer.Swin', arch='tiny'))
    with pytest.raises(ValueError, match='Known: uniform'):
        LocalityAlignment(backbone=DINO, masks='rectangles')
