"""The whole of denseformer on one small dataset: predict, train, test, predict a folder. `make demo` runs it."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from denseformer.cli import main
from denseformer.datasets.sample import ensure_sample_set
from denseformer.inspection.browse import arrange

CONFIG = 'configs/upernet_dinat_nano_sample.py'
FINISHED = 'upernet_dinat_pico_sample'
RUN = Path('work_dirs/demo')
DRAWN = ('overlays', 'restored')
"""Folders of a prediction that hold its pictures."""


def demo() -> int:
    """Draw the masks of the finished UPerNet; train a larger one on the sample set, score it, draw its masks."""
    return train_score_and_predict(CONFIG, RUN, FINISHED)


def train_score_and_predict(config: str, run: Path, finished: str) -> int:
    """Everything that a demonstration on the sample set shows, into the folder `run`; returns the exit status."""
    console = Console()
    ensure_sample_set()
    images = sorted(Path('data/sample/images/validation').glob('*.jpg'))[:9]
    show_finished(finished, images, run, console)
    checkpoint = train_and_score(config, run, console)
    if checkpoint is None:
        return 1
    console.rule('predict')
    out = run / 'prediction'
    gather_images(run / 'input')
    status = main(['infer', config, checkpoint, str(run / 'input'), '--out', str(out), '--overwrite'])
    console.print(f'\nWhat was found, and overlays: {out}')
    return status


def show_finished(name: str, images: list[Path], run: Path, console: Console) -> None:
    """Predict with a model that comes with the package, and draw it on one sheet beside the run's folder."""
    console.rule('predict, before anything is trained')
    folder = run.with_name(f'{run.name}_finished')
    for path in images:
        (folder / 'input').mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / 'input')
    main(['infer', name, str(folder / 'input'), '--out', str(folder / 'prediction'), '--overwrite'])
    drawn = sorted((folder / 'prediction').rglob('*.[jp][pn]g'))
    pictures = [np.asarray(Image.open(path).convert('RGB')) for path in drawn if path.parent.name in DRAWN]
    Image.fromarray(arrange(pictures)).save(folder / 'pictures.jpg', quality=90)
    console.print(f'What {name} answers, which comes with the package: {folder / "pictures.jpg"}')


def train_and_score(config: str, run: Path, console: Console) -> str | None:
    """The checkpoint of a run into the folder `run`, with its scores beside it; None when a step failed."""
    console.rule('train')
    if main(['train', config, '--work-dir', str(run), '--seed', '0', '--overwrite']):
        return None
    checkpoint = (run / 'last_checkpoint').read_text().strip()
    console.rule('test')
    failed = main(['test', config, checkpoint, '--work-dir', str(run), '--out', str(run / 'scores.json')])
    return None if failed else checkpoint


def gather_images(folder: Path, count: int = 12) -> None:
    """Put some validation images and all photographs side by side, as a user's folder with sub-folders."""
    shutil.rmtree(folder, ignore_errors=True)
    images = sorted(Path('data/sample/images/validation').glob('*.jpg'))[:count]
    photographs = [path for path in sorted(Path('data/photographs').iterdir()) if path.suffix in ('.jpg', '.png')]
    for name, paths in (('sample', images), ('photographs', photographs)):
        (folder / name).mkdir(parents=True)
        for path in paths:
            shutil.copy(path, folder / name)


if __name__ == '__main__':
    raise SystemExit(demo())
