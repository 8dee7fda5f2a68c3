"""Images of every kind are read as they show, or are errors that name the file and the reason."""

import struct

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from denseformer.datasets.loading import LoadImage
from denseformer.images.metadata import chunk
from denseformer.images.reading import read_image
from denseformer.inference.sources import find_items


@pytest.fixture
def colors():
    return np.random.default_rng(0).integers(0, 256, (24, 36, 3), np.uint8)


@pytest.mark.parametrize('mode', ['1', 'L', 'P', 'RGB', 'RGBA', 'LA'])
def test_what_segmentation_sees_is_what_training_read(colors, mode, tmp_path):
    Image.fromarray(colors).convert('RGB').convert(mode).save(tmp_path / 'a.png')
    trained_on = LoadImage()({'img_path': str(tmp_path / 'a.png')})['img']
    assert np.array_equal(read_image(tmp_path / 'a.png').as_bgr8(), trained_on)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp', '.tif'])
def test_pictures_are_upright(colors, orientation, suffix, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f'a{suffix}'
    Image.fromarray(colors).resize((360, 240)).save(path, exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert('RGB')).astype(int)
    assert np.abs(read_image(path).pixels[..., ::-1] - upright).mean() < 3


def test_cmyk_is_read_as_color(colors, tmp_path):
    smooth = Image.fromarray(colors).resize((360, 240))
    smooth.convert('CMYK').save(tmp_path / 'a.jpg', quality=95)
    difference = np.abs(read_image(tmp_path / 'a.jpg').pixels[..., ::-1].astype(int) - np.asarray(smooth))
    assert difference.mean() < 4


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_pages_are_images_of_their_own(colors, dtype, tmp_path):
    colors = colors.astype(dtype) / (256 if dtype is np.float32 else 1)
    colors = colors.astype(dtype)
    tifffile.imwrite(tmp_path / 'scan.tif', np.stack([colors, colors[::-1]]), photometric='rgb')
    items = list(find_items(tmp_path / 'scan.tif'))
    assert [str(item.name) for item in items] == ['scan_page001.tif', 'scan_page002.tif']
    second = read_image(items[1].path, page=items[1].page)
    assert np.array_equal(second.pixels[..., ::-1], colors[::-1])


def save_animation(path, frames):
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)


@pytest.mark.parametrize('suffix', ['.gif', '.webp', '.png'])
def test_animations_are_refused(colors, suffix, tmp_path):
    save_animation(tmp_path / f'a{suffix}', [Image.fromarray(colors), Image.fromarray(colors[::-1].copy())])
    with pytest.raises(ValueError, match='animated'):
        read_image(tmp_path / f'a{suffix}')


def damaged(kind, tmp_path, colors):
    path = tmp_path / 'a.png'
    Image.fromarray(colors).save(path)
    content = path.read_bytes()
    path.write_bytes(
        {'empty': b'', 'truncated': content[: len(content) // 2], 'text': b'no image', 'header': content[:20]}[kind]
    )
    return path


@pytest.mark.parametrize('kind', ['empty', 'truncated', 'text', 'header'])
def test_damaged_files_are_errors_that_name_them(kind, colors, tmp_path):
    with pytest.raises(ValueError, match=r'a\.png'):
        read_image(damaged(kind, tmp_path, colors))


def test_a_wrong_ending_does_not_matter(colors, tmp_path):
    Image.fromarray(colors).save(tmp_path / 'a.jpg', format='PNG')
    assert np.array_equal(read_image(tmp_path / 'a.jpg').pixels[..., ::-1], colors)


@pytest.mark.parametrize(
    ('sides', 'fault'), [((30_000, 30_000), '900000000 pixels'), ((0, 0), r'bomb\.png'), ((2**31 - 1, 1), 'pixels')]
)
def test_absurd_sizes_are_refused_before_decoding(sides, fault, tmp_path):
    header = chunk(b'IHDR', struct.pack('>IIBBBBB', *sides, 8, 2, 0, 0, 0))
    (tmp_path / 'bomb.png').write_bytes(b'\x89PNG\r\n\x1a\n' + header + chunk(b'IDAT', b''))
    with pytest.raises(ValueError, match=fault):
        read_image(tmp_path / 'bomb.png')


@pytest.mark.parametrize('size', [(1, 3000), (3000, 1), (1, 1)])
def test_thin_images_are_images(size, tmp_path):
    cv2.imwrite(str(tmp_path / 'thin.png'), np.full((*size, 3), 7, np.uint8))
    assert read_image(tmp_path / 'thin.png').size == size


@pytest.mark.parametrize('dtype', [np.float64, np.int16, np.int32])
def test_other_depths_are_errors(dtype, tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', np.zeros((4, 5), dtype))
    with pytest.raises(ValueError, match=r'a\.tif'):
        read_image(tmp_path / 'a.tif')


@pytest.mark.parametrize('value', [1.5, -0.1, np.nan, np.inf])
def test_fractions_outside_their_range_are_an_error(value, tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', np.array([[0.5, value]], np.float32))
    with pytest.raises(ValueError, match=r'a\.tif.*scale them'):
        read_image(tmp_path / 'a.tif')


def test_limits_are_raised_for_pillow_too(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((30, 30, 3), np.uint8))
    with pytest.raises(ValueError, match='MAX_IMAGE_PIXELS'):
        read_image(tmp_path / 'a.png', max_pixels=1000)


def test_avif_is_read(colors, tmp_path):
    smooth = Image.fromarray(colors).resize((360, 240))
    smooth.save(tmp_path / 'a.avif', quality=95)
    difference = np.abs(read_image(tmp_path / 'a.avif').pixels[..., ::-1].astype(int) - np.asarray(smooth))
    assert difference.mean() < 4


def test_fractions_are_read_for_training_as_for_prediction(tmp_path):
    fractions = np.random.default_rng(0).random((9, 13, 3), np.float32)
    tifffile.imwrite(tmp_path / 'a.tif', fractions, photometric='rgb')
    image = LoadImage()({'img_path': str(tmp_path / 'a.tif')})['img']
    assert np.abs(image[..., ::-1] - 255 * fractions).max() <= 0.5 + 1e-3
    tifffile.imwrite(tmp_path / 'b.tif', fractions * 2, photometric='rgb')
    with pytest.raises(ValueError, match=r'b\.tif.*scale them'):
        LoadImage()({'img_path': str(tmp_path / 'b.tif')})


def test_colors_below_transparency_in_tiff_files_are_those_of_the_file(colors, tmp_path):
    alpha = np.full((24, 36, 1), 40, np.uint8)
    Image.fromarray(np.concatenate([colors, alpha], 2)).save(tmp_path / 'a.tif')
    assert np.array_equal(LoadImage()({'img_path': str(tmp_path / 'a.tif')})['img'][..., ::-1], colors)


@pytest.mark.parametrize('suffix', ['jpg', 'png'])
def test_gray_is_the_luma_that_opencv_decodes(colors, suffix, tmp_path):
    Image.fromarray(colors).save(tmp_path / f'a.{suffix}')
    gray = cv2.imread(str(tmp_path / f'a.{suffix}'), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(read_image(tmp_path / f'a.{suffix}', gray=True).pixels[..., 0], gray)


def test_orientation_is_left_alone_where_asked(colors, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for suffix in ('png', 'tif'):
        Image.fromarray(colors).save(tmp_path / f'a.{suffix}', exif=exif)
        assert read_image(tmp_path / f'a.{suffix}').size == (36, 24)
        assert read_image(tmp_path / f'a.{suffix}', apply_orientation=False).size == (24, 36)


def test_a_page_that_is_too_large_is_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / 'a.tif') as file:
        file.write(np.zeros((4, 4), np.uint8))
        file.write(np.zeros((40, 40), np.uint8))
    assert read_image(tmp_path / 'a.tif', page=0, max_pixels=100).size == (4, 4)
    with pytest.raises(ValueError, match='1600 pixels, more than max_pixels=100'):
        read_image(tmp_path / 'a.tif', page=1, max_pixels=100)
