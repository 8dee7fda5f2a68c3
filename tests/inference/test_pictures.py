"""Images of every kind are read as what they show and written as what they were."""

import struct
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms, ImageOps

from denseformer.datasets.loading import LoadImage
from denseformer.images.formats import checked_suffix, suffix_for, write_picture
from denseformer.images.metadata import chunk
from denseformer.images.reading import Picture, read_picture
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
@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp', '.tif'])
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


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_pages_are_images_of_their_own(colours, dtype, tmp_path):
    colours = colours.astype(dtype) / (256 if dtype is np.float32 else 1)
    colours = colours.astype(dtype)
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


@pytest.mark.parametrize(
    ('sides', 'fault'), [((30_000, 30_000), '900000000 pixels'), ((0, 0), r'bomb\.png'), ((2**31 - 1, 1), 'pixels')]
)
def test_absurd_sizes_are_refused_before_decoding(sides, fault, tmp_path):
    header = chunk(b'IHDR', struct.pack('>IIBBBBB', *sides, 8, 2, 0, 0, 0))
    (tmp_path / 'bomb.png').write_bytes(b'\x89PNG\r\n\x1a\n' + header + chunk(b'IDAT', b''))
    with pytest.raises(ValueError, match=fault):
        read_picture(tmp_path / 'bomb.png')


@pytest.mark.parametrize('size', [(1, 3000), (3000, 1), (1, 1)])
def test_thin_images_are_images(size, tmp_path):
    cv2.imwrite(str(tmp_path / 'thin.png'), np.full((*size, 3), 7, np.uint8))
    assert read_picture(tmp_path / 'thin.png').size == size


@pytest.mark.parametrize('dtype', [np.float64, np.int16, np.int32])
def test_other_depths_are_errors(dtype, tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', np.zeros((4, 5), dtype))
    with pytest.raises(ValueError, match=r'a\.tif'):
        read_picture(tmp_path / 'a.tif')


@pytest.mark.parametrize('channels', [1, 3])
def test_fractions_are_kept(channels, tmp_path):
    fractions = np.random.default_rng(0).random((9, 13, channels), np.float32)
    write_picture(Picture(fractions), tmp_path / 'a.tif', '.tif')
    again = read_picture(tmp_path / 'a.tif')
    assert np.array_equal(again.pixels, fractions)
    assert np.abs(again.as_bgr8().astype(int) - 255 * fractions).max() <= 0.5 + 1e-3
    with pytest.raises(ValueError, match='32 bits'):
        write_picture(again, tmp_path / 'a.png', '.png')


@pytest.mark.parametrize('value', [1.5, -0.1, np.nan, np.inf])
def test_fractions_outside_their_range_are_an_error(value, tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', np.array([[0.5, value]], np.float32))
    with pytest.raises(ValueError, match=r'a\.tif.*scale them'):
        read_picture(tmp_path / 'a.tif')


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp', '.tif'])
def test_profile_and_resolution_are_kept(colours, suffix, tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    Image.fromarray(colours).save(tmp_path / f'a{suffix}', icc_profile=profile, dpi=(300, 200))
    picture = read_picture(tmp_path / f'a{suffix}')
    larger = replace(picture, metadata=picture.metadata.enlarged(2))
    write_picture(larger, tmp_path / f'b{suffix}', suffix)
    with Image.open(tmp_path / f'b{suffix}') as written:
        assert written.info['icc_profile'] == profile
        assert suffix == '.webp' or written.info['dpi'] == pytest.approx((600, 400), abs=0.02)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp'])
def test_exif_data_is_kept_without_what_no_longer_holds(colours, suffix, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Orientation] = 'Maker', 6
    exif.get_ifd(ExifTags.IFD.Exif).update({ExifTags.Base.ExifImageWidth: 36, ExifTags.Base.ISOSpeedRatings: 400})
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = 'N'
    Image.fromarray(colours).save(tmp_path / f'a{suffix}', exif=exif)
    write_picture(read_picture(tmp_path / f'a{suffix}'), tmp_path / f'b{suffix}', suffix)
    with Image.open(tmp_path / f'b{suffix}') as written:
        assert written.size == (24, 36)
        kept = written.getexif()
        assert kept[ExifTags.Base.Make] == 'Maker'
        assert ExifTags.Base.Orientation not in kept
        assert kept.get_ifd(ExifTags.IFD.Exif) == {ExifTags.Base.ISOSpeedRatings: 400}
        assert kept.get_ifd(ExifTags.IFD.GPSInfo) == {ExifTags.GPS.GPSLatitudeRef: 'N'}


def test_a_profile_for_other_channels_is_left_out(colours, tmp_path):
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes())
    profile[16:20] = b'CMYK'
    Image.fromarray(colours).convert('CMYK').save(tmp_path / 'a.jpg', icc_profile=bytes(profile))
    assert read_picture(tmp_path / 'a.jpg').metadata.profile is None


def test_damaged_exif_data_does_not_cost_the_image(colours, tmp_path):
    Image.fromarray(colours).save(tmp_path / 'a.jpg', exif=b'Exif\0\0MM\0*\0\0\0\x08\0\x09' + b'\xff' * 20)
    assert read_picture(tmp_path / 'a.jpg').size == (24, 36)


def test_pictures_with_metadata_are_decoded_once(colours, tmp_path, monkeypatch):
    Image.fromarray(colours).save(tmp_path / 'a.png', dpi=(300, 300))
    monkeypatch.setattr('PIL.PngImagePlugin.PngImageFile.load', lambda self: pytest.fail('decoded by Pillow, too'))
    assert read_picture(tmp_path / 'a.png').metadata.dpi == pytest.approx((300, 300), abs=0.02)


def test_limits_are_raised_for_pillow_too(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((30, 30, 3), np.uint8))
    with pytest.raises(ValueError, match='MAX_IMAGE_PIXELS'):
        read_picture(tmp_path / 'a.png', max_pixels=1000)


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
