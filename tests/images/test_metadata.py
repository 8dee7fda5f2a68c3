"""A restored image keeps the metadata of its source that still holds."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from denseformer.images.formats import write_picture
from denseformer.images.reading import read_image


@pytest.fixture
def colors():
    return np.random.default_rng(0).integers(0, 256, (24, 36, 3), np.uint8)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp', '.tif'])
def test_profile_and_resolution_are_kept(colors, suffix, tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    Image.fromarray(colors).save(tmp_path / f'a{suffix}', icc_profile=profile, dpi=(300, 200))
    picture = read_image(tmp_path / f'a{suffix}')
    larger = replace(picture, metadata=picture.metadata.upscaled(2))
    write_picture(larger, tmp_path / f'b{suffix}', suffix)
    with Image.open(tmp_path / f'b{suffix}') as written:
        assert written.info['icc_profile'] == profile
        assert suffix == '.webp' or written.info['dpi'] == pytest.approx((600, 400), abs=0.02)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp'])
def test_exif_data_is_kept_without_what_no_longer_holds(colors, suffix, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Orientation] = 'Maker', 6
    exif.get_ifd(ExifTags.IFD.Exif).update({ExifTags.Base.ExifImageWidth: 36, ExifTags.Base.ISOSpeedRatings: 400})
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = 'N'
    Image.fromarray(colors).save(tmp_path / f'a{suffix}', exif=exif)
    write_picture(read_image(tmp_path / f'a{suffix}'), tmp_path / f'b{suffix}', suffix)
    with Image.open(tmp_path / f'b{suffix}') as written:
        assert written.size == (24, 36)
        kept = written.getexif()
        assert kept[ExifTags.Base.Make] == 'Maker'
        assert ExifTags.Base.Orientation not in kept
        assert kept.get_ifd(ExifTags.IFD.Exif) == {ExifTags.Base.ISOSpeedRatings: 400}
        assert kept.get_ifd(ExifTags.IFD.GPSInfo) == {ExifTags.GPS.GPSLatitudeRef: 'N'}


def test_a_profile_for_other_channels_is_left_out(colors, tmp_path):
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes())
    profile[16:20] = b'CMYK'
    Image.fromarray(colors).convert('CMYK').save(tmp_path / 'a.jpg', icc_profile=bytes(profile))
    assert read_image(tmp_path / 'a.jpg').metadata.icc_profile is None


def test_damaged_exif_data_does_not_cost_the_image(colors, tmp_path):
    Image.fromarray(colors).save(tmp_path / 'a.jpg', exif=b'Exif\0\0MM\0*\0\0\0\x08\0\x09' + b'\xff' * 20)
    assert read_image(tmp_path / 'a.jpg').size == (24, 36)


def test_pictures_with_metadata_are_decoded_once(colors, tmp_path, monkeypatch):
    Image.fromarray(colors).save(tmp_path / 'a.png', dpi=(300, 300))
    monkeypatch.setattr('PIL.PngImagePlugin.PngImageFile.load', lambda self: pytest.fail('decoded by Pillow, too'))
    assert read_image(tmp_path / 'a.png').metadata.dpi == pytest.approx((300, 300), abs=0.02)
