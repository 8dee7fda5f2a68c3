"""DINOv3's adapter: it is ViT-Adapter without injection, on any plain backbone, which it can leave as it is."""

import pytest
import torch

from denseformer.backbones import DINOv2, DINOv3, DINOv3Adapter, ViTAdapter

TINY = dict(width=32, blocks=4, heads=2)
READER = dict(deform_heads=2, hidden_convs=4)
DINOV2 = dict(type='denseformer.DINOv2', arch={**TINY, 'patch_size': 14, 'image_size': 28}, registers=4)
DINOV3 = dict(type='denseformer.DINOv3', arch=TINY)


def adapter(encoder: dict, **options) -> DINOv3Adapter:
    torch.manual_seed(0)
    return DINOv3Adapter(arch={'encoder': encoder, **READER}, **options)


@pytest.mark.parametrize(('encoder', 'size'), [(DINOV3, (32, 64)), (DINOV3, (50, 33)), (DINOV2, (65, 97))])
def test_reads_from_any_plain_backbone_at_any_size(encoder, size):
    network = adapter(encoder).eval()
    with torch.no_grad():
        maps = network(torch.randn(1, 3, *size))
    assert [m.shape[1:] for m in maps] == [(32, *(-(-side // stride) for side in size)) for stride in (4, 8, 16, 32)]


def test_is_vit_adapter_whose_injectors_do_nothing():
    record = {**TINY, 'patch_size': 14, 'image_size': 224}
    ours = adapter(dict(type='denseformer.DINOv2', arch=record, norm_outputs=False)).eval()
    other = ViTAdapter(arch={**record, **READER, 'deform_ratio': 0.5, 'cls_token': True}).eval()
    left = other.load_state_dict(ours.state_dict(), strict=False)
    assert all('.injector.' in key for key in left.missing_keys)
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        for one, two in zip(ours(image), other(image), strict=True):
            torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(('encoder', 'padded'), [(DINOV3, (64, 96)), (DINOV2, (224, 224))])
def test_the_backbone_and_the_pyramid_see_the_same_area(encoder, padded):
    network = adapter(encoder).eval()
    seen = []
    for part in (network.encoder, network.spm):
        part.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape[2:])))
    with torch.no_grad():
        network(torch.randn(1, 3, 64, 96))
    assert seen == [padded, padded]
    assert not any(side % network.encoder.patch_size for side in padded)


def test_the_pyramid_alone_learns_beside_a_frozen_backbone():
    network = adapter(DINOV3, finetune='head', with_cp=True).train()
    assert not network.encoder.training
    assert network.out_norms.training
    sum(m.square().mean() for m in network(torch.randn(2, 3, 32, 32))).backward()
    learned = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.isfinite().all()}
    assert learned == {name for name, _ in network.named_parameters() if not name.startswith('encoder.')}


def test_takes_the_names_of_its_authors_and_those_of_the_backbone():
    network = adapter(DINOV3)
    names = {'spm.level_embed': 'level_embed', **{f'out_norms.{i}': f'norm{i + 1}' for i in range(4)}}
    theirs = {}
    for key, value in network.state_dict().items():
        part = next((ours for ours in names if key.startswith(ours)), None)
        key = key.replace(part, names[part]) if part else key
        theirs[key.replace('encoder.', 'backbone.').replace('.dwconv.', '.dwconv.dwconv.')] = value + 1
    assert not any(network.load_state_dict(theirs))
    assert torch.equal(network.spm.level_embed, theirs['level_embed'])
    backbone = DINOv3(arch=TINY)
    left = network.load_state_dict(backbone.state_dict(), strict=False)
    assert not left.unexpected_keys
    assert not [key for key in left.missing_keys if key.startswith('encoder.')]


def test_labels_of_weights_are_those_of_the_backbone():
    assert DINOv3Adapter.starting_point('dinov3_7b', 'lvd1689m') == DINOv3.starting_point('7b', 'lvd1689m')
    assert DINOv3Adapter.starting_point('dinov2_base', 'lvd142m') == DINOv2.starting_point('base', 'lvd142m')


def test_backbones_of_other_kinds_and_numbers_of_maps_are_refused():
    with pytest.raises(ValueError, match=r"plain backbone, and 'denseformer\.Swin' is none"):
        adapter(dict(type='denseformer.Swin', arch='tiny'))
    with pytest.raises(ValueError, match='4 maps'):
        adapter({**DINOV3, 'out_indices': (3,)})
