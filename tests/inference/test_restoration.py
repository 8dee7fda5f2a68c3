"""Restored images keep their format, depth, channels and transparency, and show no seam between tiles."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from mmengine.config import Config
from PIL import Image, ImageCms
from predicting import UTM, image_of

from denseformer.backbones import Swin
from denseformer.cli import main
from denseformer.images.formats import write_picture
from denseformer.images.picture import Picture
from denseformer.images.reading import read_image
from denseformer.inference import Predictor, predict_folder
from denseformer.restoration.metrics.image_quality import psnr
from denseformer.restoration.networks import CFSR

DATA = Path(__file__).parents[3] / 'shared/data'
needs_data = pytest.mark.skipif(not (DATA / 'set5').is_dir(), reason=f'needs Set5 and checkpoints in {DATA}')


@pytest.fixture(scope='module')
def predictor(weights):
    return Predictor(weights, device='cpu')


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('channels', [1, 3, 4])
@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_the_format_depth_and_channels_are_kept(predictor, dtype, channels, suffix, tmp_path):
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (20, 30, channels), dtype)
    picture = Picture(pixels[..., :3], pixels[..., 3] if channels == 4 else None)
    write_picture(picture, tmp_path / f'in{suffix}', suffix)
    predict_folder(predictor, tmp_path / f'in{suffix}', tmp_path / 'out')
    restored = read_image(tmp_path / f'out/restored/in{suffix}')
    assert restored.pixels.shape == (40, 60, min(channels, 3))
    assert restored.pixels.dtype == dtype
    assert (restored.alpha is not None) == (channels == 4)


def test_the_network_is_given_and_gives_red_green_blue(predictor):
    picture = image_of(24, 32)
    with torch.inference_mode():
        rgb = torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1)[None] / 255
        expected = predictor.model(rgb)[0].clamp(0, 1).mul(255).round().permute(1, 2, 0).numpy()
    (result,) = predictor(picture)
    assert np.array_equal(result.image, expected)
    assert result.plot().size == (128, 48)


def test_tiles_give_the_image_of_the_whole(weights, predictor):
    picture = image_of(300, 244)
    (whole,) = predictor(picture)
    (tiled,) = Predictor(weights, device='cpu', tile=160)(picture)
    assert np.abs(whole.image.astype(int) - tiled.image).max() <= 1  # a rounding of less than 1e-5 may flip


def test_a_file_too_large_to_read_is_restored_the_same(weights, predictor, tmp_path):
    picture = image_of(300, 244)
    tifffile.imwrite(tmp_path / 'a.tif', picture[..., ::-1], photometric='rgb', rowsperstrip=7, extratags=UTM)
    streaming = Predictor(weights, device='cpu', tile=160, native=True, max_pixels=100)
    assert predict_folder(streaming, tmp_path / 'a.tif', tmp_path / 'out')['failures'] == []
    (whole,) = predictor(picture)
    with tifffile.TiffFile(tmp_path / 'out/restored/a.tif') as file:
        assert np.abs(file.asarray().astype(int) - whole.image).max() <= 1
        assert file.pages[0].tags[33550].value == (5.0, 5.0, 0.0)


def test_the_self_ensemble_turns_with_the_image(weights):
    predictor = Predictor(weights, device='cpu', tta=True)
    picture = image_of(24, 32)
    (upright,), (turned,) = predictor(picture), predictor(np.ascontiguousarray(np.rot90(picture)))
    assert np.abs(np.rot90(upright.image).astype(int) - turned.image).max() <= 1


def test_a_restorer_is_predicted_with_by_its_config(weights, predictor, tmp_path):
    arch = dict(dim=16, groups=1, blocks=1, kernel_size=9, mlp_ratio=2)
    network = dict(type='denseformer.CFSR', arch=arch, scale=2)
    config = Config(
        dict(model=dict(type='denseformer.Restorer', network=network, losses=[dict(type='denseformer.L1Loss')]))
    )
    restorer = Predictor(config, weights, device='cpu', compile=True)
    assert restorer.task.network._compiled_call_impl is not None
    restorer.task.network._compiled_call_impl = None  # compiling takes long
    torch.save({'state_dict': restorer.model.state_dict()}, tmp_path / 'trained.pth')
    picture = image_of(20, 24)
    results = [next(p(picture)).image for p in (predictor, restorer, Predictor(config, tmp_path / 'trained.pth'))]
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


def test_a_network_for_one_channel_restores_each(tmp_path):
    torch.manual_seed(0)
    arch = dict(dim=8, groups=1, blocks=1, kernel_size=9, mlp_ratio=2)
    torch.save(CFSR(arch=arch, scale=2, in_channels=1).state_dict(), tmp_path / 'gray.pth')
    predictor = Predictor(tmp_path / 'gray.pth', device='cpu')
    picture = image_of(24, 32)
    (color,), (red,) = predictor(picture), predictor(np.ascontiguousarray(picture[..., 2]))
    assert np.array_equal(color.image[..., 0], red.image[..., 0])


def test_fractions_are_restored_as_fractions(predictor, tmp_path):
    picture = image_of(20, 30)
    tifffile.imwrite(tmp_path / 'a.tif', (picture[..., ::-1] / 255).astype(np.float32), photometric='rgb')
    predict_folder(predictor, tmp_path / 'a.tif', tmp_path / 'out')
    restored = tifffile.imread(tmp_path / 'out/restored/a.tif')
    (expected,) = predictor(picture)
    assert restored.dtype == np.float32
    assert np.abs(255 * restored - expected.image).max() <= 0.5 + 1e-3


def test_profile_and_resolution_reach_the_restored_image(predictor, tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    Image.fromarray(image_of(20, 20)).save(tmp_path / 'a.jpg', icc_profile=profile, dpi=(150, 150))
    predict_folder(predictor, tmp_path / 'a.jpg', tmp_path / 'out')
    with Image.open(tmp_path / 'out/restored/a.jpg') as restored:
        assert restored.info['icc_profile'] == profile
        assert restored.info['dpi'] == (300, 300)


def test_batches_by_free_memory_restore_the_same(weights, predictor, tmp_path):
    for i in range(3):
        Image.fromarray(np.roll(image_of(24, 24), i, 1)).save(tmp_path / f'{i}.png')
    predict_folder(Predictor(weights, device='cpu', batch_size=None), tmp_path, tmp_path / 'out')
    for i, expected in enumerate(predictor([tmp_path / f'{i}.png' for i in range(3)])):
        assert (
            np.abs(np.asarray(Image.open(tmp_path / f'out/restored/{i}.png')).astype(int) - expected.image).max() <= 1
        )


def test_a_format_that_is_not_written_is_an_error(weights):
    with pytest.raises(ValueError, match='legal are png'):
        Predictor(weights, device='cpu', format='.gif')


def test_another_format_can_be_asked_for(weights, tmp_path):
    Image.fromarray(image_of(20, 20)).save(tmp_path / 'a.jpg')
    predict_folder(Predictor(weights, device='cpu', format='.png'), tmp_path / 'a.jpg', tmp_path / 'out')
    assert Image.open(tmp_path / 'out/restored/a.png').size == (40, 40)


def test_the_name_of_a_file_with_weights_does_not_matter(weights, predictor, tmp_path):
    image = image_of(20, 20)
    for name in ('best.pth.tar', 'checkpoint'):
        shutil.copy(weights, tmp_path / name)
        (other,) = Predictor(tmp_path / name, device='cpu')(image)
        (own,) = predictor(image)
        assert np.array_equal(other.picture.pixels, own.picture.pixels)


def test_a_backbone_alone_predicts_nothing_and_a_text_is_no_config(tmp_path):
    torch.save(Swin(arch='tiny').state_dict(), tmp_path / 'swin.pth')
    with pytest.raises(ValueError, match=r"swin\.pth' holds a backbone alone(.|\n)*Swin\(arch='tiny'\)"):
        Predictor(tmp_path / 'swin.pth', device='cpu')
    (tmp_path / 'index.json').write_text('{}')
    with pytest.raises(ValueError, match=r'index\.json: has no `model`'):
        Predictor(tmp_path / 'index.json', device='cpu')


def test_weights_in_the_place_of_a_config_are_an_error(weights):
    with pytest.raises(ValueError, match='config'):
        Predictor(weights, weights)


@needs_data
@pytest.mark.parametrize('tile', [None, '128'])
def test_a_published_checkpoint_reaches_its_figure_from_the_command_line(tile, tmp_path):
    source = DATA / 'set5/LR_bicubic/X2'
    command = ['infer', str(DATA / 'checkpoints/CFSR_x2.pth'), str(source), '--out', str(tmp_path / 'out')]
    assert main([*command, '--device', 'cpu', '--format', 'png', *(['--tile', tile] if tile else [])]) == 0
    scores = []
    for path in sorted((DATA / 'set5/HR').glob('*.png')):
        (restored,) = (tmp_path / 'out/restored').glob(f'{path.stem}*')
        images = [np.asarray(Image.open(file).convert('RGB')) for file in (restored, path)]
        H, W = (side // 2 * 2 for side in images[1].shape[:2])
        pair = [torch.from_numpy(image[:H, :W].copy()).permute(2, 0, 1) for image in images]
        scores.append(psnr(*pair, protocol='y', crop_border=2))
    assert np.mean(scores) == pytest.approx(38.07, abs=0.06)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_colors_that_transparency_hides_do_not_change_what_is_seen(predictor, dtype):
    bright, dark = np.iinfo(dtype).max * 15 // 16, 0
    alpha = np.zeros((40, 40), dtype)
    alpha[10:30, 12:28] = np.iinfo(dtype).max
    sprites = []
    for hidden in (bright, dark):
        pixels = np.full((40, 40, 3), hidden, dtype)
        pixels[alpha > 0] = bright
        sprites.append(np.dstack([pixels, alpha]))
    (whole,), (black,) = predictor(sprites[0]), predictor(sprites[1])
    assert np.array_equal(whole.image, black.image)
