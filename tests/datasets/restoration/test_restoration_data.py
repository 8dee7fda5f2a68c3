"""Pairs for restoration: which files belong together, exact bicubic patches, depth that is kept, degradations."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from denseformer.datasets import RestorationImages
from denseformer.datasets.restoration import bsrgan, image_folders
from denseformer.datasets.restoration.realesrgan import bell_kernel, sinc_kernel
from denseformer.datasets.restoration.transforms import downsample_window, to_tensor
from denseformer.registry import DATASETS, TRANSFORMS
from denseformer.restoration import imresize


@pytest.fixture(autouse=True)
def _seed():
    np.random.seed(0)


def picture(height: int = 40, width: int = 56, dtype=np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(np.iinfo(dtype).max, size=(height, width, 3)).astype(dtype)


def transform(component: str, **options):
    return TRANSFORMS.build({'type': f'denseformer.{component}', **options})


@pytest.fixture
def root(tmp_path):
    for folder, names in (('HR', ('a', 'b')), ('LR', ('ax2', 'b'))):
        (tmp_path / folder).mkdir()
        for name in names:
            image = picture() if folder == 'HR' else picture(20, 28)
            cv2.imwrite(str(tmp_path / folder / f'{name}.png'), image)
    return tmp_path


def dataset(root, pair: bool = True, pipeline=(), **options) -> RestorationImages:
    prefix = {'gt_path': 'HR', 'img_path': 'LR'} if pair else {'gt_path': 'HR'}
    return RestorationImages(data_root=str(root), data_prefix=prefix, scale=2, pipeline=pipeline, **options)


def test_pairs_are_found_by_name_with_or_without_the_scale(root):
    pairs = [(Path(info['gt_path']).name, Path(info['img_path']).name) for info in dataset(root)]
    assert pairs == [('a.png', 'ax2.png'), ('b.png', 'b.png')]


def test_a_target_without_an_image_is_named(root):
    (root / 'LR/b.png').unlink()
    with pytest.raises(ValueError, match=r'1 of 2 targets .*: b\.'):
        dataset(root)


def test_images_can_be_chosen_and_left_out(root):
    assert [info['gt_path'][-5] for info in dataset(root, pair=False, only=('b',))] == ['b']
    assert [info['gt_path'][-5] for info in dataset(root, pair=False, without=('b',))] == ['a']
    with pytest.raises(ValueError, match='no image of these names'):
        dataset(root, without=('c',))


def test_images_in_linked_folders_belong_to_the_set(root):
    (root / 'HR/more').symlink_to(root / 'LR')
    (root / 'HR/again').symlink_to(root / 'HR')
    names = [Path(info['gt_path']).relative_to(root).as_posix() for info in dataset(root, pair=False)]
    assert names == ['HR/a.png', 'HR/b.png', 'HR/more/ax2.png', 'HR/more/b.png']


def test_files_of_other_kinds_are_counted_and_avif_is_an_image(root, monkeypatch):
    said = []
    monkeypatch.setattr(image_folders, 'print_log', lambda text, logger: said.append(text))
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(root / 'HR/c.avif')
    for name in ('d.heic', 'e.HEIC', 'f.tga', 'notes'):
        (root / 'HR' / name).touch()
    names = [Path(info['gt_path']).name for info in dataset(root, pair=False)]
    assert names == ['a.png', 'b.png', 'c.avif']
    assert said == [f"'{root}/HR': 3 images; left out by their suffix: 2 .heic, 1 .tga, 1 without suffix."]
    assert transform('LoadImagePair')({'gt_path': str(root / 'HR/c.avif')})['gt_img'].shape == (8, 8, 3)


def test_fractions_are_read_as_they_are(tmp_path):
    fractions = np.random.default_rng(0).random((8, 12, 3), np.float32)
    tifffile.imwrite(tmp_path / 'a.tif', fractions, photometric='rgb')
    results = transform('LoadImagePair')({'gt_path': str(tmp_path / 'a.tif')})
    assert np.array_equal(results['gt_img'][..., ::-1], fractions)


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_a_patch_is_what_it_is_in_the_whole_shrunk_image(scale):
    target = picture(scale * 20, scale * 23)
    whole = imresize(target, 1 / scale)
    for top, left in ((0, 0), (5, 4), (12, 15), (3, 15)):
        patch = downsample_window(target, scale, top, left, 8)
        assert np.array_equal(patch, whole[top : top + 8, left : left + 8])


def test_training_patches_match_their_targets(root):
    steps = [
        {'type': 'denseformer.LoadImagePair', 'scale': 2},
        {'type': 'denseformer.BicubicDownsample', 'scale': 2, 'patch': 12},
        {'type': 'denseformer.PackRestoration'},
    ]
    for sample in dataset(root, pair=False, pipeline=steps):
        assert sample['inputs'].shape == (3, 12, 12)
        target = sample['data_samples'].gt_img
        assert target.shape == (3, 24, 24)
        inner = imresize(target.permute(1, 2, 0).numpy(), 0.5)[3:-3, 3:-3]
        assert np.array_equal(inner, sample['inputs'].permute(1, 2, 0).numpy()[3:-3, 3:-3])


def test_a_small_target_is_stretched_to_the_patch():
    results = transform('BicubicDownsample', scale=4, patch=16)({'gt_img': picture(40, 56), 'gt_path': 'a'})
    assert results['img'].shape == (16, 16, 3)
    assert results['gt_img'].shape == (64, 64, 3)


def test_both_images_are_turned_alike():
    for _ in range(8):
        target = picture(32, 32)
        results = {'gt_img': target, 'img': target[::2, ::2]}
        results = transform('RandomOrientation')(results)
        grids = [results['gt_img'][i::2, j::2] for i in (0, 1) for j in (0, 1)]
        assert any(np.array_equal(results['img'], grid) for grid in grids)


@pytest.mark.parametrize('channels', [1, 3])
def test_sixteen_bits_are_kept(tmp_path, channels):
    image = picture(dtype=np.uint16)[..., :channels]
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    results = transform('LoadImagePair', channels=channels)({'gt_path': str(tmp_path / 'a.png')})
    assert results['gt_img'].dtype == np.uint16
    assert np.array_equal(results['gt_img'], image)
    packed = to_tensor(results['gt_img'])
    assert packed.dtype == torch.float32
    blue = (packed[-1] * 65535).round().numpy()
    assert np.array_equal(blue, image[..., 0])


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_colors_become_grey_as_luma_where_it_is_asked_for(tmp_path, dtype):
    white, black = np.full((4, 4, 3), np.iinfo(dtype).max, dtype), np.zeros((4, 4, 3), dtype)
    cv2.imwrite(str(tmp_path / 'a.png'), np.concatenate([white, black]))
    gray = transform('LoadImagePair', channels=1, luma=1.0)({'gt_path': str(tmp_path / 'a.png')})['gt_img']
    assert (gray.dtype, gray.shape) == (dtype, (8, 4, 1))
    assert np.unique(gray).tolist() == [level * (257 if dtype is np.uint16 else 1) for level in (16, 235)]
    with pytest.raises(ValueError, match='share of the images'):
        transform('LoadImagePair', channels=1, luma=2.0)


def test_sizes_that_do_not_belong_together_are_refused(root):
    cv2.imwrite(str(root / 'LR/b.png'), picture(20, 20))
    data = dataset(root, pipeline=[{'type': 'denseformer.LoadImagePair', 'scale': 2}])
    with pytest.raises(ValueError, match='Set the scale'):
        data[1]


def test_gaussian_noise_has_its_strength_and_is_not_clipped():
    white = np.full((64, 64, 3), 255, np.uint8)
    noisy = transform('AddGaussianNoise', sigma=25, seed=0)({'gt_img': white})['img']
    again = transform('AddGaussianNoise', sigma=25, seed=0)({'gt_img': white})['img']
    assert np.array_equal(noisy, again)
    assert noisy.max() > 1
    assert noisy.std() * 255 == pytest.approx(25, rel=0.05)
    assert transform('AddGaussianNoise', sigma=25, clip=True)({'gt_img': white})['img'].dtype == np.uint8


def test_poisson_noise_grows_with_light():
    light = np.full((64, 64, 1), 200, np.uint8)
    noisy = transform('AddPoissonNoise', photons=50)({'gt_img': light})['img']
    expected = np.sqrt(200 / 255 / 50) * 255
    assert noisy.astype(float).clip(0, 254).std() < expected * 1.1
    assert noisy.std() > 0.5 * expected


@pytest.mark.parametrize('channels', [1, 3])
def test_jpeg_is_opencvs(channels):
    image = picture()[..., :channels]
    image = np.ascontiguousarray(image)
    data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 20])[1]
    expected = cv2.imdecode(data, cv2.IMREAD_UNCHANGED).reshape(image.shape)
    assert np.array_equal(transform('CompressJPEG', quality=20)({'gt_img': image})['img'], expected)


def test_degradations_follow_one_another_and_leave_the_target():
    image = picture()
    results = {'gt_img': image.copy()}
    motion = {'transforms': [{'type': 'MotionBlur', 'p': 1}], 'only_img': True}
    steps = {'Blur': {'sigma': (1, 2)}, 'Albumentations': motion, 'CompressJPEG': {'quality': 50}}
    for name, options in steps.items():
        results = transform(name, **options)(results)
    assert np.array_equal(results['gt_img'], image)
    assert results['img'].shape == image.shape
    assert results['img'].std() < image.std()


def test_kernels_sum_to_one():
    kernels = [bell_kernel(family, 15, 2.0, 1.0, 1.5) for family in ('gaussian', 'generalized', 'plateau')]
    for kernel in (*kernels, sinc_kernel(13, 2.0)):
        assert kernel.sum() == pytest.approx(1)
    assert sinc_kernel(13, 2.0).min() < 0


@pytest.mark.parametrize('seed', range(6))
def test_the_real_world_degradation_shrinks_and_spoils(seed):
    np.random.seed(seed)
    smooth = cv2.GaussianBlur(picture(128, 160), (0, 0), 6)
    results = transform('RealWorldDegradation', scale=4)({'gt_img': smooth})
    assert results['img'].shape == (32, 40, 3)
    assert results['img'].dtype == np.uint8
    error = results['img'].astype(float) - imresize(smooth, 0.25)
    assert 0 < np.abs(error).mean() < 60


@pytest.mark.parametrize(('scale', 'seed'), [(4, 0), (4, 1), (4, 2), (4, 3), (3, 4), (2, 5)])
def test_the_shuffled_degradation_shrinks_spoils_and_does_not_shift(scale, seed):
    np.random.seed(seed)
    smooth = cv2.GaussianBlur(picture(96, 144), (0, 0), 6)
    spread = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
    results = transform('BSRGANDegradation', scale=scale)({'gt_img': spread})
    assert results['img'].shape == (96 // scale, 144 // scale, 3)
    assert results['img'].dtype == np.uint8
    small = imresize(spread, 1 / scale).astype(float)
    assert 0 < np.abs(results['img'] - small).mean() < 30


def test_subsampling_after_blur_keeps_the_middle_of_each_cell(monkeypatch):
    monkeypatch.setattr(bsrgan, 'INTERPOLATED', 0)
    ramp = np.linspace(0, 1, 64)[:, None, None] * np.ones((1, 64, 1))
    small = bsrgan.random_downsample(ramp, 4)[6:-6]
    assert small == pytest.approx(imresize(ramp, 0.25)[6 : 6 + len(small)], abs=1e-3)


def test_a_dataset_can_be_repeated_beside_another(root):
    part = {'type': 'denseformer.RestorationImages', 'data_root': str(root), 'data_prefix': {'gt_path': 'HR'}}
    repeated = {'type': 'RepeatDataset', 'dataset': part, 'times': 3}
    whole = DATASETS.build({'type': 'ConcatDataset', 'datasets': [repeated, part]})
    assert [Path(whole[i]['gt_path']).stem for i in range(len(whole))] == ['a', 'b'] * 4


def test_the_old_name_of_gray_noise_works():
    step = TRANSFORMS.build({'type': 'denseformer.AddPoissonNoise', 'photons': 50, 'grey': True})
    noisy = step({'gt_img': np.full((8, 8, 3), 90, np.uint8)})['img']
    assert step.gray
    assert (noisy == noisy[..., :1]).all()


def test_orientations_without_rotation_are_the_image_and_its_mirror():
    image = picture(8, 12)
    found = {transform('RandomOrientation', rotate=False)({'gt_img': image})['gt_img'].tobytes() for _ in range(20)}
    assert found == {image.tobytes(), np.ascontiguousarray(image[:, ::-1]).tobytes()}


def test_a_share_of_the_crops_begins_at_the_corner():
    image = np.arange(16 * 16, dtype=np.uint8).reshape(16, 16, 1)
    crop = transform('PairedRandomCrop', size=8, corner=0.5)
    firsts = [crop({'img': image, 'gt_img': image, 'gt_path': 'a.png'})['img'][0, 0, 0] for _ in range(200)]
    assert 80 < sum(first == 0 for first in firsts) < 125
