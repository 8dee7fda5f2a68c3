"""Restoration by the commands users type: train, go on and test, with averaged weights and with a discriminator."""

import json
from pathlib import Path

import pytest
from PIL import Image

from denseformer.cli import main
from denseformer.restoration import from_checkpoint

BASE = Path(__file__).parents[1] / 'configs/_base_'
SMALL = 'network = dict(arch=dict(_delete_=True, dim=8, groups=1, blocks=1, kernel_size=3))'
QUICK = 'num_workers, batch_size, patch_size, log_interval, val_interval = 0, 2, 32, 1, 2'


def write_config(folder: Path, restorer: str, data: str, schedule: str, *lines: str) -> Path:
    names = ('networks/cfsr', f'restorers/{restorer}', f'datasets/{data}', f'schedules/{schedule}')
    bases = [str(BASE / f'{name}.py') for name in (*names, 'runtime/restoration_ema')]
    path = folder / f'{restorer}.py'
    path.write_text('\n'.join([f'_base_ = {bases}', 'scale = 2', SMALL, QUICK, *lines]))
    return path


def run(command: str, config: Path, *arguments: str, options: tuple[str, ...] = ()) -> int:
    work = config.with_suffix('')
    extra = ['--cfg-options', *options] if options else []
    return main([command, str(config), *arguments, '--device', 'cpu', '--work-dir', str(work), *extra])


def test_train_resume_and_test(tmp_path):
    config = write_config(tmp_path, 'l1', 'photographs', 'adam_minutes', "held_out = ('cat',)", 'warmup_iters = 1')
    assert run('train', config, '--seed', '0', options=('max_iters=2', 'val_interval=2')) == 0
    assert run('train', config, '--seed', '0', '--resume', options=('max_iters=4', 'val_interval=2')) == 0
    checkpoint = (tmp_path / 'l1/last_checkpoint').read_text().strip()
    assert checkpoint.endswith('iter_4.pth')
    assert list((tmp_path / 'l1').glob('best_PSNR*.pth'))
    assert run('test', config, checkpoint, '--out', str(tmp_path / 'scores.json')) == 0
    assert json.loads((tmp_path / 'scores.json').read_text())['metrics']['PSNR'] > 0
    assert run('test', config, checkpoint, '--tta', '--show-dir', str(tmp_path / 'shown')) == 0
    assert Image.open(tmp_path / 'shown/cat.png').mode == 'RGB'
    network = from_checkpoint(checkpoint)
    assert (type(network).__name__, network.scale) == ('CFSR', 2)


def test_training_against_a_discriminator(tmp_path):
    lines = (
        "train_images = dict(data_root='data', data_prefix=dict(gt_path='photographs'), only=('astronaut',))",
        "test_root, test_files = 'data', dict(gt_path='photographs')",
        "test_images = dict(only=('cat',))",
        'train_dataloader = dict(persistent_workers=False)',
        "model = dict(losses=[dict(type='denseformer.L1Loss')], discriminator=dict(width=4))",
        'vgg_weights = None',
    )
    config = write_config(tmp_path, 'gan', 'real_world', 'gan_400k', *lines)
    assert run('train', config, options=('max_iters=2',)) == 0
    (record,) = (tmp_path / 'gan').glob('2*/vis_data/scalars.json')
    logged = [json.loads(line) for line in record.read_text().splitlines()]
    assert any({'loss_gan', 'discriminator_real'} <= set(line) for line in logged)


def test_a_start_that_is_missing_stops_training(tmp_path, capsys):
    config = write_config(tmp_path, 'l1', 'photographs', 'adam_minutes', "pretrained = 'nowhere'", 'warmup_iters = 1')
    assert run('train', config) == 2
    assert "there is no 'nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_configs_of_other_scales_start_from_a_config_that_ships(scale):
    for path in BASE.parent.glob(f'*_x{scale}_*.py'):
        for line in path.read_text().splitlines():
            if line.startswith('pretrained'):
                assert (BASE.parent / f'{Path(line.split(chr(39))[1]).name}.py').is_file(), path.name
