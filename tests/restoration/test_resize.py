"""MATLAB's bicubic resizing; that it equals published images to the bit is tested with Set5."""

import numpy as np
import pytest

from denseformer.restoration import imresize

RNG = np.random.default_rng(0)


@pytest.mark.parametrize('shape', [(17, 23), (17, 23, 3), (1, 5, 4)])
@pytest.mark.parametrize('scale', [0.25, 1 / 3, 2, 1.5])
def test_sizes_are_rounded_up_and_types_kept(shape, scale):
    for dtype in (np.uint8, np.uint16, np.float32):
        image = (RNG.random(shape) * 200).astype(dtype)
        out = imresize(image, scale)
        assert out.dtype == dtype
        assert out.shape == (*(int(np.ceil(side * scale)) for side in shape[:2]), *shape[2:])


def test_a_constant_stays_constant_and_ranges_are_kept():
    assert (imresize(np.full((9, 9), 255, np.uint8), 1 / 3) == 255).all()
    edges = np.zeros((12, 12), np.uint8)
    edges[:, 6:] = 255
    out = imresize(edges, 4)
    assert (out.min(), out.max()) == (0, 255)


def test_floating_images_keep_their_precision():
    image = RNG.random((16, 20, 3))
    out = imresize(image, 0.5)
    bytes_ = imresize(np.round(image * 255).astype(np.uint8), 0.5)
    assert np.abs(out * 255 - bytes_).max() < 2
    assert not np.allclose(out * 255, np.round(out * 255))


def test_a_ramp_is_sampled_at_the_centres_of_the_new_pixels():
    ramp = np.arange(48.0)[None]
    halved = imresize(ramp, size=(1, 24))[0]
    assert halved[2:-2] == pytest.approx(2 * np.arange(24)[2:-2] + 0.5)
    doubled = imresize(ramp, size=(1, 96))[0]
    assert doubled[4:-4] == pytest.approx((np.arange(96)[4:-4] + 0.5) / 2 - 0.5)


def test_a_size_may_stretch_the_axes_differently():
    assert imresize(RNG.random((10, 20)), size=(5, 40)).shape == (5, 40)


def test_wrong_arguments_say_what_is_legal():
    image = np.zeros((8, 8), np.uint8)
    with pytest.raises(ValueError, match='either a scale or a size'):
        imresize(image)
    with pytest.raises(ValueError, match='positive'):
        imresize(image, -1)
    with pytest.raises(ValueError, match='unsigned or floating'):
        imresize(image.astype(np.int32), 2)
