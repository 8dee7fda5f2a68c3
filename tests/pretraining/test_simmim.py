"""SimMIM: the authors' numbers on Swin and ViT, what is hidden and counted, and that any backbone trains."""

import math

import numpy as np
import pytest
import refkit
import torch

from denseformer.pretraining import SimMIM
from denseformer.registry import MODELS

VIT = dict(
    type='denseformer.ViT',
    arch=dict(width=96, blocks=3, heads=3, layer_scale=0.1, relative_positions=True),
    image_size=64,
)
SWIN = dict(
    type='denseformer.Swin',
    arch=dict(width=32, depths=(1, 1, 2, 1), heads=(2, 4, 8, 16), window=4),
    image_size=64,
)


def authors_cells(count: int, side: int) -> torch.Tensor:
    """The cells that the authors' code hides from NumPy's global seed 0."""
    random = np.random.RandomState(0)
    cells = torch.zeros(count, side * side)
    for image in cells:
        image[random.permutation(side * side)[: math.ceil(0.6 * side * side)]] = 1
    return cells.view(count, side, side)


@pytest.mark.parametrize(('name', 'backbone', 'cell'), [('vit_probe', VIT, 32), ('swin_probe', SWIN, 16)])
def test_agrees_with_the_authors_code(name, backbone, cell):
    def forward(model: SimMIM, image: torch.Tensor) -> list[torch.Tensor]:
        hidden = model.spread(authors_cells(2, 64 // cell))
        out, painted = model.reconstruct(image, hidden)
        return [out, painted, torch.stack([model.loss(image, painted, hidden), hidden.mean()])]

    assert refkit.check(SimMIM(backbone=backbone, cell=cell), f'simmim/{name}', forward) < 1e-4


def test_hides_whole_cells_and_their_share_in_every_image():
    model = SimMIM(backbone=VIT)
    hidden = model.draw(torch.zeros(5, 3, 128, 96))
    cells = hidden.unfold(1, 32, 32).unfold(2, 32, 32)
    assert (cells.amin((3, 4)) == cells.amax((3, 4))).all()
    assert (cells[..., 0, 0].sum((1, 2)) == math.ceil(0.6 * 12)).all()
    assert model.draw(torch.zeros(1, 3, 65, 97)).shape == (1, 65, 97)


def test_hidden_pixels_alone_count_and_do_not_reach_the_backbone():
    model = SimMIM(backbone=VIT).eval()
    image = torch.randn(1, 3, 64, 64)
    hidden = torch.zeros(1, 64, 64)
    hidden[:, :32] = 1
    changed = image.clone()
    changed[:, :, :32] += 1
    with torch.no_grad():
        painted = model.reconstruct(image, hidden)[1]
        torch.testing.assert_close(model.reconstruct(changed, hidden)[1], painted)
    elsewhere = painted.clone()
    elsewhere[:, :, 32:] += 1
    torch.testing.assert_close(model.loss(image, elsewhere, hidden), model.loss(image, painted, hidden))


@pytest.mark.parametrize('size', [(64, 500), (70, 333)])
def test_hidden_pixels_do_not_reach_the_backbone_where_parts_of_patches_are_left(size):
    torch.manual_seed(0)
    model = SimMIM(backbone=VIT).eval()
    image = torch.randn(1, 3, *size)
    hidden = model.draw(image)
    with torch.no_grad():
        painted = model.reconstruct(image, hidden)[1]
        torch.testing.assert_close(model.reconstruct(image + hidden[:, None], hidden)[1], painted)


@pytest.mark.parametrize('kind', ['MiT', 'TNT'])
def test_hidden_pixels_do_not_reach_networks_whose_patches_overlap_or_have_parts(kind):
    arch = MODELS.get(f'denseformer.{kind}').truncated_arch()
    model = SimMIM(backbone=dict(type=f'denseformer.{kind}', arch=arch)).eval()
    image, hidden = torch.randn(1, 3, 64, 96), torch.zeros(1, 64, 96)
    hidden[:, :32, 32:64] = 1
    with torch.no_grad():
        painted = model.reconstruct(image, hidden)[1]
        torch.testing.assert_close(model.reconstruct(image + hidden[:, None], hidden)[1], painted)
        assert not torch.allclose(model.reconstruct(image, 0 * hidden)[1], painted)


def test_statistics_of_norms_are_of_the_images_alone():
    model = SimMIM(backbone=dict(type='denseformer.EfficientViT', arch='m0')).train()
    counts = [module.num_batches_tracked for module in model.modules() if hasattr(module, 'num_batches_tracked')]
    assert counts
    assert all(count == 0 for count in counts)
    model(torch.randn(2, 3, 64, 64), mode='loss')
    assert all(count == 1 for count in counts)


def test_cells_of_parts_of_patches_are_refused():
    dino = dict(type='denseformer.DINOv2', arch=dict(width=24, blocks=1, heads=2))
    assert SimMIM(backbone=dino, cell=28).cell == 28
    with pytest.raises(ValueError, match='a multiple of their 14 pixels, such as 28'):
        SimMIM(backbone=dino)


@pytest.mark.parametrize('kind', ['VAN', 'DINOv3', 'Hiera', 'SAM', 'TNT', 'T2TViT', 'PyramidTNT'])
def test_any_backbone_trains_and_keeps_no_hook(kind):
    arch = MODELS.get(f'denseformer.{kind}').truncated_arch()
    plain = dict(blocks=2, width=24, heads=2, hidden=0) if 'blocks' in arch else {}
    model = SimMIM(backbone=dict(type=f'denseformer.{kind}', arch={**arch, **plain})).train()
    loss = model(torch.randn(2, 3, 64, 96), mode='loss')['loss']
    loss.backward()
    assert model.mask_token.grad.abs().sum() > 0
    assert not any(module._forward_hooks for module in model.backbone.modules())


def test_what_is_no_backbone_is_refused():
    with pytest.raises(ValueError, match='is none'):
        SimMIM(backbone=dict(type='denseformer.FPN', arch='tiny'))
