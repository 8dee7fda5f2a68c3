"""MAE: what is hidden, what the backbone sees, the authors' names, and that every kind of backbone trains."""

import pytest
import refkit
import torch

from denseformer.attention.rotary import rotate_halves
from denseformer.pretraining import MAE
from denseformer.pretraining.mae import patchify, unpatchify
from denseformer.registry import MODELS

ARCH = dict(width=24, blocks=2, heads=2)
VIT = dict(type='denseformer.ViT', arch=ARCH, image_size=64)
SMALL = dict(decoder_width=32, decoder_blocks=1, decoder_heads=2)


def test_patches_hold_pixels_row_by_row_with_their_channels_together():
    image = torch.arange(2 * 3 * 4 * 6).view(2, 3, 4, 6).float()
    patches = patchify(image, 2)
    assert patches.shape == (2, 6, 12)
    assert torch.equal(patches[1, 4], image[1, :, 2:4, 2:4].permute(1, 2, 0).flatten())
    assert torch.equal(unpatchify(patches, (2, 3), 3), image)


def test_hides_the_same_number_of_patches_in_every_image():
    hidden = MAE(backbone=VIT, **SMALL).draw(5, (4, 5), torch.device('cpu'))
    assert (hidden.sum(1) == 15).all()


def test_hidden_pixels_do_not_reach_the_prediction():
    model = MAE(backbone=VIT, **SMALL).eval()
    image, hidden = torch.randn(1, 3, 32, 48), torch.tensor([[True, False, True, True, False, True]])
    changed = image.clone()
    changed[..., :16, :16] += 1
    torch.testing.assert_close(model.reconstruct(changed, hidden), model.reconstruct(image, hidden))
    changed[..., :16, 16:32] += 1
    assert not torch.allclose(model.reconstruct(changed, hidden), model.reconstruct(image, hidden))


@pytest.mark.parametrize('kind', ['ViT', 'DINOv3', 'CroCo'])
def test_with_nothing_hidden_the_backbone_sees_the_image(kind):
    model = MAE(backbone=dict(type=f'denseformer.{kind}', arch={**ARCH, 'width': 32}), **SMALL).eval()
    assert model.sees_visible_alone
    image = torch.randn(2, 3, 32, 48)
    tokens = model.encode(image, torch.zeros(2, 6, dtype=torch.bool))
    torch.testing.assert_close(tokens[:, -6:].transpose(1, 2), model.backbone(image)[-1].flatten(2))
    some = torch.tensor([[True, False, True, True, False, True], [False, True, True, True, True, False]])
    assert model.encode(image, some).shape[1] == tokens.shape[1] - 4


def test_rotated_tokens_keep_their_own_angles():
    model = MAE(backbone=dict(type='denseformer.DINOv3', arch={**ARCH, 'width': 32, 'blocks': 1}), **SMALL).eval()
    image, hidden = torch.randn(1, 3, 32, 48), torch.tensor([[True, False, True, True, False, True]])
    net = model.backbone
    x, size = net.patch_embed(image)
    seen = torch.cat([torch.ones(net.patch_embed.prefix, dtype=torch.bool), ~hidden[0]])
    attention = net.blocks[0].attn
    q, k, v = (part.detach() for part in attention.qkv(x).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4))
    (rotation,) = net.context(x, size)
    q, k = rotate_halves(q, rotation)[:, :, seen], rotate_halves(k, rotation)[:, :, seen]
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v[:, :, seen]).transpose(1, 2).flatten(2)
    (angles,) = [model.rotation_of(rotation, seen.nonzero().view(1, -1))]
    torch.testing.assert_close(attention(x[:, seen], angles), attention.proj(expected))


@pytest.mark.parametrize('kind', ['Swin', 'Hiera', 'SAM', 'ILLaMA', 'T2TViT'])
def test_networks_that_need_whole_maps_train_with_tokens_in_place_of_hidden_patches(kind):
    arch = MODELS.get(f'denseformer.{kind}').truncated_arch()
    plain = dict(blocks=2, width=24, heads=2, hidden=0) if 'blocks' in arch else {}
    model = MAE(backbone=dict(type=f'denseformer.{kind}', arch={**arch, **plain}), **SMALL).train()
    assert not model.sees_visible_alone
    loss = model(torch.randn(2, 3, 70, 96), mode='loss')['loss']
    loss.backward()
    assert model.mask_token.grad.abs().sum() > 0
    assert model(torch.randn(1, 3, 64, 96)).shape == (1, 3, 64, 96)


def test_a_perfect_prediction_of_hidden_patches_costs_nothing_whatever_the_others_are():
    model = MAE(backbone=VIT, normalize_target=False, **SMALL)
    image, hidden = torch.randn(1, 3, 32, 32), torch.tensor([[True, False, False, True]])
    predicted = patchify(image, 16)
    predicted[:, 1:3] += 1
    assert model.loss(image, predicted, hidden) == 0
    model.normalize_target = True
    target = patchify(image, 16)
    target = (target - target.mean(2, keepdim=True)) / target.std(2, keepdim=True)
    assert model.loss(image, target, hidden) < 1e-8


def test_takes_the_authors_names():
    model = MAE(backbone=VIT, **SMALL)
    table = model.backbone.patch_embed.positions.table
    assert not table.requires_grad
    assert not table[0, 0].any()
    theirs = {
        'cls_token': (1, 1, 24),
        'pos_embed': (1, 17, 24),
        'mask_token': (1, 1, 32),
        'decoder_pos_embed': (1, 17, 32),
    }
    linear = dict(patch_embed=('proj', (24, 3, 16, 16)), decoder_embed=('', (32, 24)), decoder_pred=('', (768, 32)))
    for name, (layer, shape) in linear.items():
        at = f'{name}.{layer}'.rstrip('.')
        theirs |= {f'{at}.weight': shape, f'{at}.bias': shape[:1]}
    for name, count, dim in [('blocks', 2, 24), ('decoder_blocks', 1, 32)]:
        layers = {'attn.qkv': (3 * dim, dim), 'attn.proj': (dim, dim)}
        layers |= {'mlp.fc1': (4 * dim, dim), 'mlp.fc2': (dim, 4 * dim), 'norm1': (dim,), 'norm2': (dim,)}
        for i in range(count):
            for layer, shape in layers.items():
                theirs |= {f'{name}.{i}.{layer}.weight': shape, f'{name}.{i}.{layer}.bias': shape[:1]}
    for name, dim in [('norm', 24), ('decoder_norm', 32)]:
        theirs |= {f'{name}.weight': (dim,), f'{name}.bias': (dim,)}
    filled = refkit.fill_state_dict({key: list(shape) for key, shape in theirs.items()})
    left = model.load_state_dict(filled, strict=False)
    assert not left.missing_keys
    assert not left.unexpected_keys
    torch.testing.assert_close(model.decoder.head.weight, filled['decoder_pred.weight'])


def test_a_network_of_two_branches_is_refused():
    with pytest.raises(ValueError, match='MAE decodes the last map, and CrossViT has those of two branches'):
        MAE(backbone=dict(type='denseformer.CrossViT', arch='tiny'))
