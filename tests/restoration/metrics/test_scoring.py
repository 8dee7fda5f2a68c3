"""The command that scores: the authors' weights of CFSR on Set5 give what they published."""

import json
from pathlib import Path

import pytest

from denseformer.cli import main

DATA = Path(__file__).parents[3].parent / 'shared' / 'data'
pytestmark = pytest.mark.skipif(not (DATA / 'set5').exists(), reason=f'the Set5 images are not at {DATA / "set5"}')
PUBLISHED = {2: (38.07, 0.9607), 3: (34.50, 0.9279), 4: (32.33, 0.8964)}


def score(scale: int, tmp_path: Path, *options: str) -> dict[str, float]:
    out = tmp_path / 'scores.json'
    weights = DATA / 'checkpoints' / f'CFSR_x{scale}.pth'
    arguments = ['--device', 'cpu', '--work-dir', str(tmp_path / 'run'), '--out', str(out)]
    settings = [f'test_root={DATA / "set5"}', 'num_workers=0', *options]
    assert main(['test', f'configs/cfsr_x{scale}_set5.py', str(weights), *arguments, '--cfg-options', *settings]) == 0
    return json.loads(out.read_text())['metrics']


@pytest.mark.parametrize('scale', PUBLISHED)
def test_cfsr_scores_as_published(scale, tmp_path):
    scores = score(scale, tmp_path)
    assert scores['PSNR'] == pytest.approx(PUBLISHED[scale][0], abs=0.01)
    assert scores['SSIM'] == pytest.approx(PUBLISHED[scale][1], abs=2e-4)


def test_images_shrunk_on_the_fly_score_as_the_published_ones(tmp_path):
    scores = score(3, tmp_path, 'test_files.img_path=None')
    assert scores['PSNR'] == pytest.approx(34.50, abs=0.01)


def test_the_protocol_is_the_configs(tmp_path):
    assert score(4, tmp_path, 'protocol=y_rounded')['PSNR'] == pytest.approx(32.305, abs=0.002)
    assert score(4, tmp_path, 'protocol=rgb')['PSNR'] == pytest.approx(30.412, abs=0.002)
