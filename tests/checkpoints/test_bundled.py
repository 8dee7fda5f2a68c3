"""The models that come with the package: their entries are right, and they do what their cards say."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from denseformer.checkpoints import CheckpointError, cache
from denseformer.checkpoints.catalog import BUNDLED, catalog
from denseformer.checkpoints.common import file_hash
from denseformer.checkpoints.sharing import saved_parts
from denseformer.datasets.sample import draw_scene
from denseformer.inference import Predictor
from denseformer.restoration import imresize
from denseformer.restoration.metrics.image_quality import psnr

FILES = [file for file in catalog().values() if file.bundled]
SEEDS = (7, 8)
"""Of pictures that are in neither split of the sample set."""


def test_every_folder_has_an_entry_with_its_hash_its_size_and_its_scores():
    assert {file.name for file in FILES} == {path.parent.name for path in BUNDLED.glob('*/model.safetensors')}
    for file in FILES:
        path = cache.fetch(file, commercial_only=True)
        assert (file_hash(path), path.stat().st_size) == (file.sha256, file.bytes)
        assert json.loads((path.parent / 'scores.json').read_text()) == file.metric
        assert 'cannot' in (BUNDLED / 'README.md').read_text()
        assert all(f'| {score:.4g} |' in (path.parent / 'README.md').read_text() for score in file.metric.values())


def test_together_they_are_small_enough_for_a_wheel():
    sizes = [file.bytes for file in FILES]
    assert max(sizes) < 2.5e6
    assert sum(sizes) < 6e6


@pytest.mark.parametrize('file', FILES, ids=str)
def test_the_folder_holds_the_settings_of_the_config_of_its_name(file):
    config, _ = saved_parts(BUNDLED / file.name)
    assert file.config == file.name
    assert 'work_dir' not in config
    assert config.model.type in ('EncoderDecoder', 'MaskRCNN', 'denseformer.Restorer')


def test_a_bundled_file_is_not_removed():
    with pytest.raises(CheckpointError, match='comes with the package'):
        cache.remove(FILES[0].name)


@pytest.fixture(scope='module')
def scenes():
    return [draw_scene(np.random.default_rng((seed, i)), 160) for seed in SEEDS for i in range(4)]


def test_the_segmentor_tells_grounds_from_things_in_new_pictures(scenes):
    predictor = Predictor('upernet_dinat_pico_sample', device='cpu')
    right = []
    for scene in scenes:
        (result,) = predictor(scene.image[..., ::-1])
        known = scene.semantic != 255
        right.append((result.mask == scene.semantic)[known].mean())
    assert np.mean(right) > 0.5


def test_the_detector_finds_things_in_new_pictures(scenes):
    predictor = Predictor('mask_rcnn_dinat_pico_sample', device='cpu', score=0.3)
    assert sum(len(result.boxes) for scene in scenes for result in predictor(scene.image[..., ::-1])) >= len(scenes)


def test_the_upscaler_is_better_than_bicubic_interpolation_on_a_photograph_it_has_not_seen():
    photograph = np.asarray(Image.open(Path('data/photographs/cat.jpg')).convert('RGB'))[60:188, 120:248]
    low = imresize(photograph, 0.5)
    network = Predictor('cfsr_small_x2_photographs', device='cpu').model.network
    with torch.no_grad():
        restored = network(as_tensor(low)[None] / 255)[0].clamp(0, 1) * 255
    bicubic, target = as_tensor(imresize(low, 2)), as_tensor(photograph)
    assert psnr(restored.round().byte(), target, crop_border=2) > psnr(bicubic, target, crop_border=2) + 0.3


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)
