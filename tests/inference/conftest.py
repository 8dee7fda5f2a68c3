"""A small trained-looking model and a folder with every kind of trouble in it."""

import numpy as np
import pytest
from PIL import Image
from predicting import CONFIG, short_sighted_config, write_restorer, write_segmentor

from denseformer.inference import Predictor


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory):
    return write_segmentor(tmp_path_factory.mktemp('checkpoint') / 'random.pth')


@pytest.fixture(scope='session')
def weights(tmp_path_factory):
    """Weights of a small restoration network."""
    return write_restorer(tmp_path_factory.mktemp('weights') / 'small.pth')


@pytest.fixture(scope='module')
def short_sighted():
    return short_sighted_config()


@pytest.fixture(scope='session')
def predictor(checkpoint):
    return Predictor(CONFIG, checkpoint, device='cpu')


@pytest.fixture
def folder(tmp_path):
    """Good images a.jpg, b/a.png and b/c.png of different sizes; zero.png is empty, text.jpg is no image."""
    root = tmp_path / 'in'
    (root / 'b').mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, (height, width) in {'a.jpg': (40, 60), 'b/a.png': (33, 47), 'b/c.png': (64, 64)}.items():
        Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8)).save(root / name)
    (root / 'zero.png').write_bytes(b'')
    (root / 'text.jpg').write_text('no image')
    (root / 'notes.md').write_text('not looked at')
    return root
