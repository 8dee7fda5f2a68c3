"""The whole of denseformer on one small data set: train, test, predict a folder. `make demo` runs it."""

import shutil
from pathlib import Path

from rich.console import Console

from denseformer.cli import main

CONFIG = 'configs/upernet_dinat_nano_sample.py'
RUN = Path('work_dirs/demo')
FOLDER = RUN / 'input'
OUT = RUN / 'prediction'


def demo() -> int:
    """Train UPerNet with a small DiNAT on the sample set, score it, and draw masks on its images and on photographs."""
    console = Console()
    console.rule('train')
    status = main(['train', CONFIG, '--work-dir', str(RUN), '--seed', '0'])
    checkpoint = (RUN / 'last_checkpoint').read_text().strip()
    console.rule('test')
    status = status or main(['test', CONFIG, checkpoint, '--work-dir', str(RUN), '--out', str(RUN / 'scores.json')])
    console.rule('predict')
    gather_images()
    status = status or main(['infer', CONFIG, checkpoint, str(FOLDER), '--out', str(OUT), '--overwrite'])
    console.print(f'\nMasks and overlays: {OUT}')
    return status


def gather_images(count: int = 12) -> None:
    """Put some validation images and all photographs side by side, as a user's folder with sub-folders."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    images = sorted(Path('data/sample/images/validation').glob('*.jpg'))[:count]
    photographs = [path for path in sorted(Path('data/photographs').iterdir()) if path.suffix in ('.jpg', '.png')]
    for name, paths in (('sample', images), ('photographs', photographs)):
        (FOLDER / name).mkdir(parents=True)
        for path in paths:
            shutil.copy(path, FOLDER / name)


if __name__ == '__main__':
    raise SystemExit(demo())
