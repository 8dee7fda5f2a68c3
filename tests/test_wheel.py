"""The package is whole: its wheel alone trains, scores and predicts in a folder that knows no checkout."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ('denseformer', 'configs', 'pyproject.toml', 'setup.py', 'MANIFEST.in', 'README.md', 'LICENSE')
CONFIG = 'upernet_dinat_nano_sample'
SMALL = [
    *('num_workers=0', 'batch_size=2', 'log_interval=1', 'warmup_iters=1', 'max_iters=2', 'val_interval=2'),
    *('train_dataloader.persistent_workers=False', 'val_dataloader.persistent_workers=False'),
    *('train_dataloader.dataset.train=4', 'train_dataloader.dataset.val=2'),
    *('val_dataloader.dataset.train=4', 'val_dataloader.dataset.val=2'),
]


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    """Built from a copy of what a release holds, so that nothing is left in the checkout and nothing else is needed."""
    source, out = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('wheel')
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    pip = [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-index', '--no-build-isolation']
    subprocess.run([*pip, '--wheel-dir', out, source], check=True)
    (built,) = out.glob('*.whl')
    return built


@pytest.fixture(scope='module')
def bare(wheel, tmp_path_factory) -> Path:
    """The programs of an environment that holds the wheel, and finds its dependencies where this one has them.

    A folder named in a .pth file is searched for modules only: the .pth files in it, which editable installs leave, are
    not read.
    """
    root = tmp_path_factory.mktemp('environment')
    venv.create(root, symlinks=True)
    python = root / 'bin/python'
    run(sys.executable, '-m', 'pip', '--python', python, 'install', '--no-deps', '--no-index', wheel, folder=root)
    (packages,) = root.glob('lib/python*/site-packages')
    (packages / 'dependencies.pth').write_text(sysconfig.get_path('purelib'))
    return root / 'bin'


def run(*command: str | Path, folder: Path) -> str:
    """The output of a command in a folder that nothing leads out of."""
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_the_wheel_holds_the_package_its_configs_and_its_types_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    shipped = {name.removeprefix('denseformer/_configs/') for name in names if name.startswith('denseformer/_configs/')}
    assert shipped == {path.relative_to(ROOT / 'configs').as_posix() for path in (ROOT / 'configs').rglob('*.py')}
    assert 'denseformer/py.typed' in names
    assert {name.split('/')[0].partition('-')[0] for name in names} == {'denseformer'}


def test_training_scoring_and_predicting_need_no_checkout(bare, tmp_path):
    location = run(bare / 'python', '-c', 'import denseformer; print(denseformer.__file__)', folder=tmp_path)
    assert Path(location.strip()).is_relative_to(bare.parent)
    program = bare / 'denseformer'
    assert CONFIG in run(program, 'list', 'configs', 'dinat', 'sample', folder=tmp_path)

    options = ('--device', 'cpu', '--cfg-options', *SMALL)
    run(program, 'train', CONFIG, *options, folder=tmp_path)
    checkpoint = tmp_path / 'work_dirs' / CONFIG / 'iter_2.pth'
    assert checkpoint.is_file()
    (tmp_path / 'mine.py').write_text(f"_base_ = 'denseformer::{CONFIG}.py'")
    images = tmp_path / 'data/sample/images/validation'
    finished = 'upernet_dinat_pico_sample', images, '--out', 'finished', '--device', 'cpu'
    run(program, 'infer', *finished, folder=tmp_path)
    commands = [  # in one process: what takes time is to import the packages
        ('test', 'mine.py', checkpoint, '--out', 'scores.json', *options),
        ('infer', CONFIG, checkpoint, images, '--out', 'out', *options),
    ]
    arguments = [[str(argument) for argument in command] for command in commands]
    code = f'from denseformer.cli import main\nassert not any([main(each) for each in {arguments}])'
    run(bare / 'python', '-c', code, folder=tmp_path)
    assert 0 <= json.loads((tmp_path / 'scores.json').read_text())['metrics']['mIoU'] <= 100
    for out in ('out', 'finished'):
        assert len(list((tmp_path / out / 'masks').iterdir())) == 2
