"""ViTamin: published sizes, the tower of a CLIP model, and its positions."""

import pytest
import torch

from denseformer.backbones import ViTamin

MILLIONS = {'small': 22.173, 'base': 87.723, 'large': 333.319, 'large2': 333.319, 'xlarge': 436.055}
CLIP_WIDTHS = {'xlarge': 1152}
TINY = {'conv_widths': (8, 16), 'width': 16, 'heads': 2, 'blocks': 3, 'depths': (1, 2), 'image_size': 64}


@pytest.mark.parametrize('arch', ViTamin.archs)
def test_has_the_published_number_of_parameters_with_the_layers_of_clip(arch):
    width, out = ViTamin.archs[arch].width, CLIP_WIDTHS.get(arch, 768)
    clip = 2 * width + width * out + out
    assert round((ViTamin.describe(arch).parameters + clip) / 1e6, 3) == MILLIONS[arch]


def test_positions_are_made_for_oblong_images_too():
    network = ViTamin.on_meta_device(arch=TINY, image_size=(32, 64))
    assert network.stages[2].downsample.positions.grid == (2, 4)


def test_the_tower_of_a_clip_model_loads_without_the_rest():
    network = ViTamin(arch=TINY)
    positions = torch.randn(1, 16, 16)
    left = network.load_state_dict(
        {
            'visual.trunk.pos_embed': positions,
            'visual.trunk.blocks.0.mlp.w0.bias': torch.full((32,), 1.0),
            'visual.trunk.blocks.0.mlp.w1.bias': torch.full((32,), 2.0),
            'visual.trunk.blocks.1.norm1.weight': torch.full((16,), 3.0),
            'visual.trunk.patch_embed.backbone.stages.1.0.shortcut.expand.weight': torch.full((16, 8, 1, 1), 4.0),
            'visual.trunk.fc_norm.weight': torch.ones(16),
            'visual.head.proj.weight': torch.ones(8, 16),
            'text.token_embedding.weight': torch.ones(4, 8),
            'logit_scale': torch.ones(()),
        },
        strict=False,
    )
    assert not left.unexpected_keys
    assert torch.equal(network.stages[2].downsample.positions.table, positions)
    assert network.stages[2].blocks[0].mlp.fc1.bias.tolist() == [1.0] * 32 + [2.0] * 32
    assert (network.stages[3].blocks[0].norm1.weight == 3).all()
    assert (network.stages[1].blocks[0].shortcut.expand.weight == 4).all()


def test_positions_of_a_checkpoint_are_resized():
    network = ViTamin(arch=TINY, image_size=96)
    network.load_state_dict({'pos_embed': torch.full((1, 16, 16), 0.5)}, strict=False)
    torch.testing.assert_close(network.stages[2].downsample.positions.table.data, torch.full((1, 36, 16), 0.5))


def test_the_largest_network_has_no_positions_and_maps_end_where_the_image_does():
    network = ViTamin(arch={**TINY, 'image_size': 0}).eval()
    assert not any('positions' in name for name, _ in network.named_parameters())
    shapes = [tuple(m.shape[2:]) for m in network(torch.randn(1, 3, 65, 97))]
    assert shapes == [(17, 25), (9, 13), (5, 7), (5, 7), (5, 7)]
