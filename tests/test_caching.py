"""Tensors that modules keep while predicting."""

import pytest
import torch
from torch import Tensor, nn

from denseformer.backbones import DINOv2, Swin, ViT
from denseformer.caching import CachesInEval


class Products(CachesInEval):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 8))

    def forward(self) -> Tensor:
        return self.cached((), lambda: self.weight @ self.weight)


@torch.no_grad()
def test_what_was_made_under_autocast_serves_no_other_precision():
    module = Products().eval()
    with torch.autocast('cpu', torch.bfloat16):
        assert module().dtype is torch.bfloat16
        assert module() is module()
    assert module().dtype is torch.float32


@torch.no_grad()
@pytest.mark.parametrize(
    ('kind', 'arch'),
    [
        (ViT, dict(width=16, blocks=1, heads=2)),
        (DINOv2, dict(width=16, blocks=1, heads=2, patch_size=16)),
        (Swin, dict(width=8, depths=(1, 1, 1, 1), heads=(1, 1, 2, 2))),
    ],
)
def test_networks_run_without_values_on_the_meta_device(kind, arch):
    network = kind.on_meta_device(arch=arch).eval()
    maps = network(torch.empty(1, 3, 64, 96, device='meta'))
    assert maps[-1].shape[2:] == tuple(side // network.out_strides[-1] for side in (64, 96))


def test_positions_of_another_size_are_resized_on_the_meta_device():
    network = DINOv2.on_meta_device(arch=dict(width=16, blocks=1, heads=2, patch_size=16, image_size=64))
    own = network.own_names({'pos_embed': torch.empty(1, 1 + 25, 16, device='meta')})
    assert own['patch_embed.positions.table'].shape == (1, 1 + 16, 16)
