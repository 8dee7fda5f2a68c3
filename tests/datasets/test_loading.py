"""Images of every kind are read alike, or the file and what is wrong with it are named."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from denseformer.datasets import LoadImage

RNG = np.random.default_rng(0)
COLORS = cv2.GaussianBlur(RNG.integers(0, 256, (12, 17, 3), dtype=np.uint8), (0, 0), 2)


def load_image(path: Path, **options) -> dict:
    return LoadImage(**options)({'img_path': str(path)})


def saved(path: Path, array: np.ndarray, mode: str | None = None, **options) -> Path:
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


KINDS = (('png', 'RGB L P RGBA LA 1'), ('jpg', 'RGB L CMYK'), ('tif', 'RGB L'), ('bmp', 'RGB'), ('webp', 'RGB'))


@pytest.mark.parametrize(('suffix', 'mode'), [(suffix, mode) for suffix, modes in KINDS for mode in modes.split()])
def test_images_of_every_kind_become_what_mmseg_makes_of_them(tmp_path, suffix, mode):
    path = saved(tmp_path / f'a.{suffix}', COLORS, mode)
    ours, theirs = load_image(path), LoadImageFromFile()({'img_path': str(path)})
    assert ours['img'].dtype == np.uint8
    assert ours['img'].flags.writeable
    assert ours['img_shape'] == ours['ori_shape'] == theirs['img_shape'] == (12, 17)
    assert (ours['img'] == theirs['img']).all()


@pytest.mark.parametrize('channels', [1, 3])
def test_16_bit_images_keep_their_upper_byte(tmp_path, channels):
    image = COLORS[..., :channels].astype(np.uint16) * 256 + 77
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    assert (load_image(tmp_path / 'a.png')['img'] == COLORS[..., :channels]).all()


def test_to_float32(tmp_path):
    image = load_image(saved(tmp_path / 'a.png', COLORS), to_float32=True)['img']
    assert image.dtype == np.float32
    assert (image == COLORS[..., ::-1]).all()


def test_orientation_is_applied_when_asked_for(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    path = saved(tmp_path / 'a.jpg', COLORS, exif=exif)
    assert load_image(path)['img_shape'] == (17, 12)
    assert load_image(path, apply_orientation=False)['img_shape'] == (12, 17)


def test_missing_image(tmp_path):
    with pytest.raises(ValueError, match=r"image '.*gone\.png' cannot be read: No such file"):
        load_image(tmp_path / 'gone.png')


def test_empty_image(tmp_path):
    (tmp_path / 'a.png').touch()
    with pytest.raises(ValueError, match=r"image '.*a\.png' is empty"):
        load_image(tmp_path / 'a.png')


@pytest.mark.parametrize('suffix', ['png', 'jpg', 'tif', 'bmp', 'webp'])
@pytest.mark.parametrize('share', [0.1, 0.5, 0.9])
def test_truncated_image(tmp_path, suffix, share):
    path = saved(tmp_path / f'a.{suffix}', RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ValueError, match=rf"a\.{suffix}' .*truncated"):
        load_image(path)


def test_a_text_file_is_no_image(tmp_path):
    (tmp_path / 'a.jpg').write_text('<html>404</html>')
    with pytest.raises(ValueError, match=r"a\.jpg' .*not an image"):
        load_image(tmp_path / 'a.jpg')


def test_an_image_with_too_many_pixels_is_not_decoded(tmp_path, monkeypatch):
    path = saved(tmp_path / 'a.png', COLORS)
    assert load_image(path, max_pixels=12 * 17)['img_shape'] == (12, 17)
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('decoded'))
    with pytest.raises(ValueError, match=r"a\.png' has 204 pixels, more than max_pixels=203"):
        load_image(path, max_pixels=203)


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path):
    claim = struct.pack('>4s2I5B', b'IHDR', 20_000, 20_000, 8, 0, 0, 0, 0)
    header = struct.pack('>I', 13) + claim + struct.pack('>I', zlib.crc32(claim))
    (tmp_path / 'a.png').write_bytes(b'\x89PNG\r\n\x1a\n' + header + struct.pack('>I4s', 0, b'IDAT'))
    with pytest.raises(ValueError, match='has 400000000 pixels'):
        load_image(tmp_path / 'a.png')
