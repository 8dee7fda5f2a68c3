"""The examples run as their first lines say, on small networks of random weights."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from denseformer.config.loading import load_config
from denseformer.inference.predictor import build_model
from denseformer.restoration.networks import CFSR

ROOT = Path(__file__).parents[1]
CONFIG = 'upernet_dinat_nano_sample'


@pytest.fixture
def images(tmp_path) -> Path:
    """a.png and b/c.jpg, of two sizes."""
    folder, rng = tmp_path / 'images', np.random.default_rng(0)
    for name, (height, width) in {'a.png': (40, 60), 'b/c.jpg': (33, 47)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8)).save(folder / name)
    return folder


def run(example: str, *arguments: str | Path) -> list[str]:
    command = [sys.executable, f'examples/{example}.py', *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_every_example_says_how_it_is_called_and_is_run_here():
    ran = Path(__file__).read_text()
    for path in (ROOT / 'examples').glob('*.py'):
        assert f'\npython examples/{path.name} ' in path.read_text()
        assert f"run('{path.stem}'" in ran


def test_images_to_masks(images, tmp_path):
    torch.manual_seed(0)
    checkpoint = tmp_path / 'random.pth'
    torch.save({'state_dict': build_model(load_config(CONFIG)).state_dict()}, checkpoint)
    lines = run('images_to_masks', CONFIG, checkpoint, images, tmp_path / 'out')
    assert [line.split(':')[0] for line in lines if ' pixels, ' in line] == ['a.png', 'b/c.jpg']
    assert Image.open(tmp_path / 'out/b/c.png').size == (47, 33)
    assert Image.open(tmp_path / 'out/a_overlay.jpg').format == 'JPEG'


def test_a_backbone_in_mmdetection(images):
    lines = run('backbone_in_mmdetection', 'retinanet/retinanet_r50_fpn_1x_coco.py', 'NAT', images / 'a.png')
    assert any(line.startswith('RetinaNet on NAT, ') for line in lines)
    assert 'boxes' in lines[-1]


def test_restoration_of_a_folder(images, tmp_path):
    torch.manual_seed(0)
    network = CFSR(arch=dict(dim=8, groups=1, blocks=1, kernel_size=3), scale=2)
    checkpoint = tmp_path / 'random.pth'
    torch.save(network.state_dict(), checkpoint)
    run('restore_folder', checkpoint, images, tmp_path / 'out')
    assert Image.open(tmp_path / 'out/a.png').size == (120, 80)
    assert Image.open(tmp_path / 'out/b/c.jpg').size == (94, 66)
