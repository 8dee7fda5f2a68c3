"""UPLiFT: the authors' numbers, features that stay within those of the backbone, and a backbone that is frozen."""

import pytest
import refkit
import torch

from denseformer.backbones import UPLiFT
from denseformer.backbones.plain.uplift import BACKBONES
from denseformer.checkpoints.catalog import starting_weights

ONE_BLOCK = dict(type='denseformer.DINOv2', arch=dict(width=384, heads=6, blocks=1))
SMALL = dict(width=8, patch_size=16, encoder=(4, 4), decoder=20)
VIT = dict(type='denseformer.ViT', arch=dict(width=8, heads=2, blocks=2))


def test_agrees_with_the_authors_code():
    reference = refkit.load_reference('uplift/dinov2-s14')
    network = UPLiFT(backbone=ONE_BLOCK).eval()
    left = network.load_state_dict(refkit.fill_state_dict(reference['shapes']), strict=False)
    assert not [key for key in left.missing_keys if not key.startswith('backbone.')]
    run = reference['runs'][0]
    features = refkit.make_input(dict(input=(1, 384, 4, 4), seed=100, kind='normal'))
    with torch.no_grad():
        outs = network.upsample(refkit.make_input(run), features)
    assert refkit.deviation(outs, run['outputs']) < 1e-4


def test_maps_double_and_lie_between_the_backbones_features():
    network = UPLiFT(arch=SMALL, backbone=VIT, steps=3).eval()
    with torch.no_grad():
        maps = network(torch.randn(1, 3, 32, 48))
    assert [tuple(m.shape) for m in maps] == [(1, 8, 16, 24), (1, 8, 8, 12), (1, 8, 4, 6), (1, 8, 2, 3)]
    assert network.out_strides == (2, 4, 8, 16)
    low, high = maps[-1].amin((2, 3)), maps[-1].amax((2, 3))
    assert all(((low <= m.amin((2, 3)) + 1e-5) & (m.amax((2, 3)) <= high + 1e-5)).all() for m in maps)


@pytest.mark.parametrize(('kind', 'shown'), [('ViT', (32, 48)), ('DINOv3', (16, 32))])
def test_the_guide_is_the_part_of_the_image_that_the_map_shows(kind, shown):
    network = UPLiFT(arch=SMALL, backbone={**VIT, 'type': f'denseformer.{kind}', 'in_channels': 4}).eval()
    image = torch.randn(1, 4, 30, 40)
    whole = torch.zeros(1, 4, 32, 48)
    whole[:, :, :30, :40] = image
    with torch.no_grad():
        for a, b in zip(network(image), network(whole[:, :, : shown[0], : shown[1]]), strict=True):
            torch.testing.assert_close(a, b)


def test_the_published_upsamplers_have_the_weights_of_the_backbones_they_were_trained_with():
    for arch, backbone in BACKBONES.items():
        kind = backbone['type'].removeprefix('denseformer.')
        assert starting_weights(kind, backbone['arch'], backbone['pretrained']).is_whole, arch


def test_only_the_upsampler_is_trained_unless_asked():
    for freeze in (True, False):
        network = UPLiFT(arch=SMALL, backbone=VIT, freeze=freeze).train()
        sum(m.square().mean() for m in network(torch.randn(2, 3, 32, 32))).backward()
        trained = {name.split('.')[0] for name, p in network.named_parameters() if p.grad is not None}
        assert trained == {'encoder', 'decoder', 'attender'} | (set() if freeze else {'backbone'})
        assert network.backbone.training is not freeze


def test_a_backbone_of_other_width_or_no_plain_one_is_refused():
    with pytest.raises(ValueError, match='made for 384 channels'):
        UPLiFT(backbone=VIT)
    with pytest.raises(ValueError, match='is none'):
        UPLiFT(backbone=dict(type='denseformer.Swin', arch='tiny'))
    with pytest.raises(ValueError, match='needs a backbone'):
        UPLiFT(arch=SMALL)
