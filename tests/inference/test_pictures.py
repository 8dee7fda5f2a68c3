"""Images of every kind are read as what they show and written as what they were."""

import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from denseformer.datasets.loading import LoadImage
from denseformer.inference.pictures import Picture, read_picture, write_picture
from denseformer.inference.sources import find_items


@pytest.fixture
def colours():
    return np.random.default_rng(0).integers(0, 256, (24, 36, 3), np.uint8)


@pytest.mark.parametrize('mode', ['1', 'L', 'P', 'RGB', 'RGBA', 'LA'])
def test_what_segmentation_sees_is_what_training_read(colours, mode, tmp_path):
    Image.fromarray(colours).convert('RGB').convert(mode).save(tmp_path / 'a.png')
    trained_on = LoadImage()({'img_path': str(tmp_path / 'a.png')})['img']
    assert np.array_equal(read_picture(tmp_path / 'a.png').as_bgr8(), trained_on)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp'])
def test_pictures_are_upright(colours, orientation, suffix, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f'a{suffix}'
    Image.fromarray(colours).resize((360, 240)).save(path, exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert('RGB')).astype(int)
    assert np.abs(read_picture(path).pixels[..., ::-1] - upright).mean() < 3


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_depth_channels_and_transparency_are_kept(dtype, suffix, channels, tmp_path):
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (9, 13, channels), dtype)
    picture = Picture(pixels[..., :3], pixels[..., 3] if channels == 4 else None)
    write_picture(picture, tmp_path / 'out', suffix)
    (tmp_path / 'out').rename(tmp_path / f'out{suffix}')
    again = read_picture(tmp_path / f'out{suffix}')
    assert again.pixels.dtype == dtype
    assert np.array_equal(again.pixels, picture.pixels)
    assert (again.alpha is None) == (channels != 4)
    assert channels != 4 or np.array_equal(again.alpha, picture.alpha)


def test_grey_with_transparency_stays_grey(colours, tmp_path):
    Image.fromarray(colours[..., :2].copy(), 'LA').save(tmp_path / 'a.png')
    picture = read_picture(tmp_path / 'a.png')
    assert picture.pixels.shape == (24, 36, 1)
    write_picture(picture, tmp_path / 'b.png', '.png')
    assert Image.open(tmp_path / 'b.png').mode == 'LA'


def test_cmyk_is_read_as_colour(colours, tmp_path):
    smooth = Image.fromarray(colours).resize((360, 240))
    smooth.convert('CMYK').save(tmp_path / 'a.jpg', quality=95)
    difference = np.abs(read_picture(tmp_path / 'a.jpg').pixels[..., ::-1].astype(int) - np.asarray(smooth))
    assert difference.mean() < 4


def test_pages_are_images_of_their_own(colours, tmp_path):
    tifffile.imwrite(tmp_path / 'scan.tif', np.stack([colours, colours[::-1]]), photometric='rgb')
    items = list(find_items(tmp_path / 'scan.tif'))
    assert [str(item.name) for item in items] == ['scan_page001.tif', 'scan_page002.tif']
    second = read_picture(items[1].path, page=items[1].page)
    assert np.array_equal(second.pixels[..., ::-1], colours[::-1])


def save_animation(path, frames):
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)


@pytest.mark.parametrize('suffix', ['.gif', '.webp', '.png'])
def test_animations_are_refused(colours, suffix, tmp_path):
    save_animation(tmp_path / f'a{suffix}', [Image.fromarray(colours), Image.fromarray(colours[::-1].copy())])
    with pytest.raises(ValueError, match='animated'):
        read_picture(tmp_path / f'a{suffix}')


def damaged(kind, tmp_path, colours):
    path = tmp_path / 'a.png'
    Image.fromarray(colours).save(path)
    content = path.read_bytes()
    path.write_bytes(
        {'empty': b'', 'truncated': content[: len(content) // 2], 'text': b'no image', 'header': content[:20]}[kind]
    )
    return path


@pytest.mark.parametrize('kind', ['empty', 'truncated', 'text', 'header'])
def test_damaged_files_are_errors_that_name_them(kind, colours, tmp_path):
    with pytest.raises(ValueError, match=r'a\.png'):
        read_picture(damaged(kind, tmp_path, colours))


def test_a_wrong_ending_does_not_matter(colours, tmp_path):
    Image.fromarray(colours).save(tmp_path / 'a.jpg', format='PNG')
    assert np.array_equal(read_picture(tmp_path / 'a.jpg').pixels[..., ::-1], colours)


def test_absurd_sizes_are_refused_before_decoding(tmp_path):
    header = b'IHDR' + struct.pack('>IIBBBBB', 30_000, 30_000, 8, 2, 0, 0, 0)
    chunk = struct.pack('>I', 13) + header + struct.pack('>I', zlib.crc32(header))
    (tmp_path / 'bomb.png').write_bytes(
        b'\x89PNG\r\n\x1a\n' + chunk + bytes(4) + b'IDAT' + struct.pack('>I', zlib.crc32(b'IDAT'))
    )
    with pytest.raises(ValueError, match='900000000 pixels'):
        read_picture(tmp_path / 'bomb.png')


def test_other_depths_are_errors(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.tif'), np.zeros((4, 5), np.float32))
    with pytest.raises(ValueError, match='float32'):
        read_picture(tmp_path / 'a.tif')


@pytest.mark.parametrize(('pixels', 'suffix'), [((70_000, 2), '.jpg'), ((2, 20_000), '.webp')])
def test_what_a_format_cannot_hold_is_an_error(pixels, suffix, tmp_path):
    with pytest.raises(ValueError, match='another format'):
        write_picture(Picture(np.zeros((*pixels, 3), np.uint8)), tmp_path / 'a', suffix)


def test_sixteen_bits_do_not_go_into_a_jpeg(tmp_path):
    with pytest.raises(ValueError, match='16 bits'):
        write_picture(Picture(np.zeros((4, 4, 3), np.uint16)), tmp_path / 'a', '.jpg')
