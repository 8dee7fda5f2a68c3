"""A network and its discriminator, trained by two processes: one process tests what they made, and goes on."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / 'support'))
import forks

from denseformer.checkpoints import newest_checkpoint
from denseformer.cli import main
from denseformer.restoration import from_checkpoint

BASE = Path(__file__).parents[2] / 'configs/_base_'
BASES = ('networks/cfsr', 'restorers/gan', 'datasets/photographs', 'schedules/gan_400k', 'runtime/restoration')
LINES = (
    'scale = 2',
    'network = dict(arch=dict(_delete_=True, dim=8, groups=1, blocks=1, kernel_size=3))',
    'num_workers, patch_size, max_iters, val_interval, vgg_weights = 0, 16, 2, 2, None',
    "model = dict(losses=[dict(type='denseformer.L1Loss')], discriminator=dict(width=4))",
    "held_out = ('cat',)",
)


def training(tmp_path: Path, name: str, batch: int, *arguments: str) -> list[str]:
    config = tmp_path / f'{name}.py'
    bases = [str(BASE / f'{base}.py') for base in BASES]
    config.write_text('\n'.join([f'_base_ = {bases}', f'batch_size = {batch}', *LINES]))
    return ['train', str(config), '--device', 'cpu', '--seed', '0', '--work-dir', str(tmp_path / name), *arguments]


@pytest.mark.timeout(120)
def test_what_two_processes_trained_is_tested_and_trained_on_by_one(tmp_path):
    def work(rank: int) -> None:
        raise SystemExit(main(training(tmp_path, 'two', 1, '--launcher', 'pytorch')))

    assert forks.in_processes(2, work) == [0, 0]
    checkpoint = newest_checkpoint(tmp_path / 'two')[0]
    assert from_checkpoint(checkpoint).scale == 2
    assert main(['test', str(tmp_path / 'two.py'), str(checkpoint), '--work-dir', str(tmp_path / 'test')]) == 0
    assert main(training(tmp_path, 'two', 1, '--resume', '--cfg-options', 'max_iters=3')) == 0
