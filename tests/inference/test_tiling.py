"""TiledNetwork cover an image exactly, leave no seam, and shrink when memory runs out."""

import numpy as np
import pytest
import torch
from torch import nn

from denseformer.inference import memory
from denseformer.inference.memory import OutOfMemoryRetry, bytes_per_pixel, side_that_fits
from denseformer.inference.tiling import Tiling, assemble, plan_spans, predict_tiles, reader_of
from denseformer.restoration.networks import CFSR


def in_tiles(network, image, tiling, scale=1, **options):
    H, W = image.shape[1:]
    with torch.inference_mode():
        tiles = predict_tiles(network, reader_of(image), (H, W), tiling, scale=scale, **options)
        return assemble(tiles, (H * scale, W * scale))


@pytest.fixture
def convolutions():
    """Looks 10 pixels far, pools in steps of 4 and is as large as the image again."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 5, padding=2), nn.GELU(), nn.AvgPool2d(4), nn.Conv2d(8, 5, 3, padding=1)]
    return nn.Sequential(*layers, nn.Upsample(scale_factor=4)).eval()


TILINGS = [
    Tiling(96, 8, 8, 8),
    Tiling(97, 3, 5, 16),
    Tiling(128, 0, 0, 1),
    Tiling(112, 32, 16, 32),
    Tiling(65, 5, 17, 3),
]


@pytest.mark.parametrize('tiling', TILINGS)
def test_weights_of_tiles_add_up_to_one(tiling):
    for length in range(1, 700):
        total = np.zeros(length)
        spans = plan_spans(length, tiling)
        for span in spans:
            assert 0 <= span.start < span.stop <= length
            assert span.stop - span.start <= tiling.size
            assert span.start % tiling.multiple == 0
            if span is not spans[0]:
                assert span.fade_in[0] - span.start >= tiling.margin
            if span is not spans[-1]:
                assert span.stop - span.fade_out[1] >= tiling.margin
            total[span.fade_in[0] : span.fade_out[1]] += span.weights(1).numpy()
        assert np.allclose(total, 1), length


@pytest.mark.parametrize('size', [(300, 244), (96, 400), (400, 20), (97, 97)])
@pytest.mark.parametrize('batch_size', [1, 3])
def test_tiles_give_what_the_whole_image_gives(convolutions, size, batch_size):
    H, W = (side // 4 * 4 for side in size)
    image = torch.rand(3, H, W)
    with torch.inference_mode():
        whole = convolutions(image[None])[0]
    tiled = in_tiles(convolutions, image, Tiling(96, margin=12, fade=8, multiple=4), batch_size=batch_size)
    assert torch.allclose(tiled, whole, atol=1e-5, rtol=0)


def test_super_resolution_in_tiles_gives_what_the_whole_image_gives():
    torch.manual_seed(0)
    arch = dict(dim=16, groups=1, blocks=1, kernel_size=9, mlp_ratio=2)
    network = CFSR(arch=arch, scale=2).eval()
    image = torch.rand(3, 150, 131)
    with torch.inference_mode():
        whole = network(image[None])[0]
    tiled = in_tiles(network, image, Tiling(96, margin=16, fade=8, multiple=8), scale=2)
    assert tiled.shape == (3, 300, 262)
    assert torch.allclose(tiled, whole, atol=1e-5, rtol=0)


def test_tiles_without_a_margin_do_show_a_seam(convolutions):
    """The comparison above means something: it fails for tiles that discard nothing."""
    image = torch.rand(3, 288, 288)
    with torch.inference_mode():
        whole = convolutions(image[None])[0]
    assert (in_tiles(convolutions, image, Tiling(96, margin=0, fade=0, multiple=4)) - whole).abs().max() > 1e-3


def test_blocks_of_a_row_come_before_the_next_row(convolutions):
    tiles = predict_tiles(convolutions, reader_of(torch.rand(3, 300, 300)), (300, 300), Tiling(96, 12, 8, 4))
    places = [(tile.top, tile.left) for tile in tiles]
    assert places == sorted(places)


def test_tiles_too_small_for_their_overlap_are_an_error():
    with pytest.raises(ValueError, match='at least'):
        Tiling(64, margin=32, fade=16)


@pytest.mark.parametrize('error', [MemoryError(), torch.OutOfMemoryError(), RuntimeError("can't allocate memory")])
def test_running_out_of_memory_halves_until_it_fits(convolutions, error):
    tried = []

    def small_machine(images):
        tried.append(tuple(images.shape))
        if images[0, 0].numel() > 120 * 120 or len(images) > 1:
            raise error
        return convolutions(images)

    network = OutOfMemoryRetry(small_machine, Tiling(400, margin=12, fade=8, multiple=4))
    images = torch.rand(2, 3, 400, 360)
    with torch.inference_mode():
        whole, halved = convolutions(images), network(images)
        tried.clear()
        network(images[:1])
    assert torch.allclose(whole, halved, atol=1e-5, rtol=0)
    assert network.limit == 100
    assert max(shape[2] for shape in tried) == 100  # what did not fit is not tried again


def test_what_cannot_be_cut_smaller_is_a_memory_error():
    def full(images):
        raise MemoryError

    with pytest.raises(MemoryError, match='smaller'):
        OutOfMemoryRetry(full, Tiling(400))(torch.rand(1, 3, 400, 400))


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    def broken(images):
        raise RuntimeError('mat1 and mat2 shapes cannot be multiplied')

    with pytest.raises(RuntimeError, match='mat1'):
        OutOfMemoryRetry(broken, Tiling(400))(torch.rand(1, 3, 400, 400))


def test_the_size_of_tiles_follows_from_free_memory(monkeypatch):
    layer = nn.Conv2d(3, 64, 1)
    probe = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert 64 * 4 <= bytes_per_pixel(layer, probe) < 3 * 64 * 4
        monkeypatch.setattr(memory, 'free_memory', lambda device: 2 * 256 * 1000**2)
        assert 500 < side_that_fits(layer, probe, torch.device('cpu')) <= 1000
