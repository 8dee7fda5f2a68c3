"""Weights under the names of timm, transformers and OpenMMLab load into our networks."""

import json
from pathlib import Path

import pytest
import torch

from denseformer import backbones
from denseformer.checkpoints.layouts import as_authors, foreign_layout
from denseformer.checkpoints.layouts.openmmlab import pixels_first

NETWORKS = [
    network
    for path in sorted((Path(__file__).parents[1] / 'references' / 'layouts').glob('*.json'))
    for network in json.loads(path.read_text())['networks']
]
IDS = [f'{network["layout"]} {network["network"]}' for network in NETWORKS]


@pytest.mark.parametrize('network', NETWORKS, ids=IDS)
def test_every_tensor_of_another_package_finds_its_place(network):
    ours = getattr(backbones, network['network']).on_meta_device(arch=network['arch'])
    theirs = {key: torch.empty(shape, device='meta') for key, shape in network['shapes'].items()}
    given = dict(theirs)
    renamed = ours.own_names(theirs)
    own = ours.state_dict()
    assert set(renamed) <= set(own)
    assert {key: value.shape for key, value in renamed.items()} == {key: own[key].shape for key in renamed}
    norms = [key for key in own if key not in renamed]  # a classifier has none of the maps' norms
    assert all(key.startswith('out_norms.') for key in norms)
    assert theirs.keys() == given.keys()


def test_the_authors_and_our_own_names_are_no_foreign_layout():
    for family in ('Swin', 'SwinV2', 'ConvNeXt', 'FocalNet', 'DaViT', 'GCViT', 'PoolFormer', 'DiNAT'):
        cls = getattr(backbones, family)
        assert foreign_layout(family, cls.on_meta_device(arch=cls.smallest()).state_dict()) is None


def test_merged_pixels_are_ordered_as_the_authors_order_them():
    patch = torch.arange(2 * 2 * 3).view(2, 2, 3)  # row, column, channel
    unfolded = torch.nn.functional.unfold(patch.permute(2, 0, 1)[None].float(), 2)[0, :, 0]
    authors = torch.cat([patch[0, 0], patch[1, 0], patch[0, 1], patch[1, 1]]).float()
    assert pixels_first(unfolded).equal(authors)


def test_queries_keys_and_values_become_one_layer_in_that_order():
    parts = {
        f'encoder.layers.0.blocks.0.attention.self.{name}.weight': torch.full((2, 2), i)
        for i, name in enumerate(('query', 'key', 'value'))
    }
    joined = as_authors('Swin', {'embeddings.norm.weight': torch.ones(2), **parts})
    assert joined['layers.0.blocks.0.attn.qkv.weight'][:, 0].tolist() == [0, 0, 1, 1, 2, 2]
