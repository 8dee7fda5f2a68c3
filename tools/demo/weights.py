"""The models that come with the package: train them, save and score them. `make weights` runs it, in ten minutes or so.

Each is what its config trains, at half precision; its entry in the catalog and its card say what was measured.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from denseformer.checkpoints.catalog import BUNDLED, TABLES
from denseformer.checkpoints.common import WEIGHTS, file_hash
from denseformer.cli import main
from denseformer.inference import Predictor
from tools.demo.segmentation import train_and_score

TABLE = TABLES / 'bundled.toml'
RUNS = Path('work_dirs/weights')
COMMAND = 'python -m tools.demo.weights'


@dataclass(frozen=True)
class Model:
    """A model that comes with the package.

    name: of its config and its entry; network: its class; task, data: of the entry; metrics: the names of its scores in
    `scores.json`, by the names they have in the entry; notes: of its card, on what it can do and what it cannot.
    """

    name: str
    network: str
    kind: str
    task: str
    data: str
    metrics: dict[str, str]
    notes: str


MODELS = (
    Model(
        'upernet_dinat_pico_sample',
        'DiNAT',
        'dense',
        'semantic segmentation',
        'the sample set, 240 drawn pictures',
        {'mIoU': 'mIoU', 'pixel accuracy': 'aAcc'},
        """
UPerNet with a DiNAT of 0.9 million parameters, which tells five shapes and three grounds apart in the pictures of the
sample set (`data/README.md`), which are drawn by code. The scores are of its 60 validation pictures, which it has not
seen; a table from color to class reaches a mIoU of 0.27 there.

It is for trying the commands, for tests, and for a first look at a result. It has never seen a photograph, and its
answers on one mean nothing. Grounds are told apart; of the shapes, crosses, rings and hearts are found with errors, and
stars and moons are taken for rings. Start a model for data of your own from published ImageNet weights, not from these.
""",
    ),
    Model(
        'mask_rcnn_dinat_pico_sample',
        'DiNAT',
        'dense',
        'instance segmentation',
        'the sample set, 240 drawn pictures',
        {'box AP': 'bbox_mAP', 'mask AP': 'segm_mAP'},
        """
Mask R-CNN with a DiNAT of 0.9 million parameters, which finds stars, hearts, rings, crosses and moons in the pictures
of the sample set (`data/README.md`), which are drawn by code. The scores are of its 60 validation pictures, which it
has not seen.

It is for trying the commands, for tests, and for a first look at a result. It has never seen a photograph, and what it
finds in one means nothing. It confuses shapes that resemble one another, and misses small ones.
""",
    ),
    Model(
        'cfsr_small_x2_photographs',
        'CFSR',
        'restoration',
        'super-resolution x2',
        'eight photographs of the project',
        {'PSNR': 'PSNR', 'SSIM': 'SSIM'},
        """
A CFSR of 55 000 parameters that enlarges photographs to twice their size. It was trained on eight of the project's
photographs (`data/README.md`), halved by bicubic interpolation. The scores are of the three others, on luma without a
border of two pixels; bicubic interpolation reaches 30.21 dB and 0.852 on them.

It sharpens clean images that were scaled down, by a little more than bicubic interpolation does. It was shown no noise,
no JPEG artifacts and no blur, and makes them sharper, too; text and faces gain nothing that was not there. Published
networks trained on thousands of images are better by far (`denseformer weights list super-resolution x2`).
""",
    ),
)


def make(model: Model, console: Console) -> str:
    """Train a model, put it into the package, and return its entry in the catalog."""
    run = RUNS / model.name
    checkpoint = train_and_score(model.name, run, console)
    if checkpoint is None:
        raise SystemExit(f'{model.name}: training failed')
    return publish(model, checkpoint, run)


def publish(model: Model, checkpoint: str, run: Path) -> str:
    """Save a trained model into the package, score what was saved, and return its entry in the catalog."""
    predictor, folder = Predictor(model.name, checkpoint, device='cpu'), BUNDLED / model.name
    use = f'`denseformer infer {model.name} FOLDER --out OUT` predicts with it.\n'
    about = {'license': 'apache-2.0', 'command': COMMAND, 'notes': f'{model.notes}\n{use}'}
    predictor.save_pretrained(folder, half=True, **about)
    scores = run / 'scores.json'
    if main(['test', model.name, str(folder / WEIGHTS), '--work-dir', str(run), '--out', str(scores)]):
        raise SystemExit(f'{model.name}: the saved weights cannot be scored')
    measured = json.loads(scores.read_text())['metrics']
    found = {name: round(float(measured[key]), 4) for name, key in model.metrics.items()}
    predictor.save_pretrained(folder, half=True, scores=found, **about)
    return entry(model, folder / WEIGHTS, found)


def entry(model: Model, weights: Path, scores: dict[str, float]) -> str:
    """The entry of a model in the catalog, as TOML."""
    values = {
        'network': model.network,
        'kind': model.kind,
        'task': model.task,
        'data': model.data,
        'file': f'{model.name}/{WEIGHTS}',
        'bytes': weights.stat().st_size,
        'sha256': file_hash(weights),
        'license': 'Apache-2.0',
        'commercial': True,
        'layout': 'denseformer',
        'config': model.name,
        'official': True,
        'bundled': True,
        'source': 'denseformer:tools/demo/weights.py',
    }
    lines = [f'{key} = {json.dumps(value)}' for key, value in values.items()]
    metric = ', '.join(f'{json.dumps(name)} = {score}' for name, score in scores.items())
    return '\n'.join([f'[{model.name}]', *lines, f'metric = {{ {metric} }}'])


def make_all() -> None:
    """Make every model, and write the table of their entries."""
    console = Console()
    parts = ['# The models that come with the package; `make weights` writes this.']
    parts += [make(model, console) for model in MODELS]
    TABLE.write_text('\n\n'.join(parts) + '\n')


if __name__ == '__main__':
    make_all()
