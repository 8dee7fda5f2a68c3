"""The whole of denseformer on one small dataset: train, test, predict a folder. `make demo` runs it."""

import shutil
from pathlib import Path

from rich.console import Console

from denseformer.cli import main

CONFIG = 'configs/upernet_dinat_nano_sample.py'
RUN = Path('work_dirs/demo')


def demo() -> int:
    """Train UPerNet with a small DiNAT on the sample set, score it, and draw masks on its images and on photographs."""
    return train_score_and_predict(CONFIG, RUN)


def train_score_and_predict(config: str, run: Path) -> int:
    """Everything that a demonstration on the sample set shows, into the folder `run`; returns the exit status."""
    console = Console()
    checkpoint = train_and_score(config, run, console)
    if checkpoint is None:
        return 1
    console.rule('predict')
    out = run / 'prediction'
    gather_images(run / 'input')
    status = main(['infer', config, checkpoint, str(run / 'input'), '--out', str(out), '--overwrite'])
    console.print(f'\nWhat was found, and overlays: {out}')
    return status


def train_and_score(config: str, run: Path, console: Console) -> str | None:
    """The checkpoint of a run into the folder `run`, with its scores beside it; None when a step failed."""
    console.rule('train')
    if main(['train', config, '--work-dir', str(run), '--seed', '0']):
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
