"""Images are written as they are, or the format that cannot hold them is an error."""

import numpy as np
import pytest
from PIL import Image

from denseformer.images.formats import checked_suffix, suffix_for, write_picture
from denseformer.images.picture import Picture
from denseformer.images.reading import read_image


@pytest.fixture
def colors():
    return np.random.default_rng(0).integers(0, 256, (24, 36, 3), np.uint8)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_depth_channels_and_transparency_are_kept(dtype, suffix, channels, tmp_path):
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (9, 13, channels), dtype)
    picture = Picture(pixels[..., :3], pixels[..., 3] if channels == 4 else None)
    write_picture(picture, tmp_path / 'out', suffix)
    (tmp_path / 'out').rename(tmp_path / f'out{suffix}')
    again = read_image(tmp_path / f'out{suffix}')
    assert again.pixels.dtype == dtype
    assert np.array_equal(again.pixels, picture.pixels)
    assert (again.alpha is None) == (channels != 4)
    assert channels != 4 or np.array_equal(again.alpha, picture.alpha)


def test_gray_with_transparency_stays_gray(colors, tmp_path):
    Image.fromarray(colors[..., :2].copy(), 'LA').save(tmp_path / 'a.png')
    picture = read_image(tmp_path / 'a.png')
    assert picture.pixels.shape == (24, 36, 1)
    write_picture(picture, tmp_path / 'b.png', '.png')
    assert Image.open(tmp_path / 'b.png').mode == 'LA'


@pytest.mark.parametrize('channels', [1, 3])
def test_fractions_are_kept(channels, tmp_path):
    fractions = np.random.default_rng(0).random((9, 13, channels), np.float32)
    write_picture(Picture(fractions), tmp_path / 'a.tif', '.tif')
    again = read_image(tmp_path / 'a.tif')
    assert np.array_equal(again.pixels, fractions)
    assert np.abs(again.as_bgr8().astype(int) - 255 * fractions).max() <= 0.5 + 1e-3
    with pytest.raises(ValueError, match='32 bits'):
        write_picture(again, tmp_path / 'a.png', '.png')


@pytest.mark.parametrize(('pixels', 'suffix'), [((70_000, 2), '.jpg'), ((2, 20_000), '.webp')])
def test_what_a_format_cannot_hold_is_an_error(pixels, suffix, tmp_path):
    with pytest.raises(ValueError, match='another format'):
        write_picture(Picture(np.zeros((*pixels, 3), np.uint8)), tmp_path / 'a', suffix)


def test_formats_that_are_read_but_not_written_become_png():
    assert (suffix_for('.gif'), suffix_for('.JPG'), suffix_for('.dat')) == ('.png', '.JPG', '.png')
    with pytest.raises(ValueError, match='legal are png'):
        checked_suffix('gif')


def test_transparency_does_not_go_into_a_jpeg(tmp_path):
    with pytest.raises(ValueError, match='transparency'):
        write_picture(Picture(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)), tmp_path / 'a', '.jpg')


def test_sixteen_bits_do_not_go_into_a_jpeg(tmp_path):
    with pytest.raises(ValueError, match='16 bits'):
        write_picture(Picture(np.zeros((4, 4, 3), np.uint16)), tmp_path / 'a', '.jpg')
