"""The table of what can be done with each system that `fit --model` takes: tiles and export, tried on random weights.

`python -m tools.docs.systems_table docs/systems.md` builds the recipe that `fit` chooses without a GPU, on the sample
set's classes, predicts on an image whole and in tiles, and exports it to ONNX, for any size where that can be traced,
with a small ConvNeXt where the system brings no backbone; names of systems behind the page measure those alone.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log

from denseformer.config.loading import load_config
from denseformer.fitting import Facts, choose
from denseformer.fitting.fitting import config_text
from denseformer.fitting.systems import SYSTEMS
from denseformer.inference import Predictor
from tools.docs.export import images_taken, outcomes
from tools.docs.light import with_table

HEAD = '| system | task | in tiles | as ONNX |'
SAMPLE = {
    'segmentation': "_base_ = 'denseformer::_base_/datasets/sample.py'",
    'detection': "_base_ = 'denseformer::_base_/datasets/sample_instance.py'\nwith_mask, scored = False, ['bbox']",
    'instances': "_base_ = 'denseformer::_base_/datasets/sample_instance.py'",
    'panoptic': """_base_ = 'denseformer::_base_/datasets/parts/panoptic.py'
num_classes, num_stuff, data_root = 8, 3, 'data/sample'
val_dataloader = dict(
    dataset=dict(type='denseformer.SamplePanoptic', ann_file='panoptic_validation.json', data_prefix=dict(seg=''))
)""",  # the base of the set brings augmentation of its own
}
OTHER_BACKBONE = {'_delete_': True, 'type': 'denseformer.ConvNeXt', 'arch': {'width': 16, 'depths': (1, 1, 1, 1)}}
"""The backbone of an exported system which brings none: neighborhood attention takes minutes, and export.md has it."""
SIDE, TILE, OVERLAP = 320, 224, 64
SHOWN = 150
"""Characters of a reason."""


def recipe_of(name: str, task: str, folder: Path, overrides: Mapping[str, Any] = MappingProxyType({})) -> Config:
    """The config that `fit` writes for a system without a GPU, on the sample set."""
    recipe = choose(Facts(task, train=240, val=60, long=160, short=160, classes=8, model=name))
    (folder / 'data.py').write_text(SAMPLE[task])
    (folder / 'config.py').write_text(config_text(recipe))
    return load_config(folder / 'config.py', overrides)


def predictor_of(config: Config, **options: Any) -> Predictor:
    """A predictor with random weights, the same ones each time."""
    torch.manual_seed(0)
    predictor = Predictor(config, None, device='cpu', **options)
    if hasattr(predictor.model, 'level_embed'):  # a parameter of DETRs that has no value before
        predictor.model.init_weights()
    return predictor


def tiles(config: Config) -> str:
    """Whether an image is predicted on in tiles, with the outputs that it has as a whole."""
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    (whole,) = predictor_of(config, native=True)(image)
    (tiled,) = predictor_of(config, native=True, tile=TILE, overlap=OVERLAP)(image)
    whole.plot()
    return 'yes' if tiled.outputs().keys() == whole.outputs().keys() and tiled.plot().size[0] == SIDE else 'no'


def exported(name: str, task: str, folder: Path) -> str:
    brings_backbone = (SYSTEMS[name, task].cpu.network or SYSTEMS[name, task].network) is not None
    config = recipe_of(name, task, folder, {} if brings_backbone else {'backbone': OTHER_BACKBONE})
    try:
        graph = predictor_of(config).task.exportable().graph.cpu().eval()
    except ValueError:
        if task == 'segmentation':
            raise
        return 'no: a detector'
    ((_, found),) = outcomes(graph, ('.onnx',))
    if isinstance(found, str):
        return f'no: {found[:SHOWN].replace("|", "/")}'
    return f'{images_taken(found.sizes)}, to {found.relative:.0e}'


def row(name: str, task: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        tiled = tiles(recipe_of(name, task, Path(folder)))
        return f'| `{name}` | {task} | {tiled} | {exported(name, task, Path(folder))} |'


def key_of(line: str) -> tuple[str, str]:
    _, name, task, *_ = (cell.strip(' `') for cell in line.split('|'))
    return name, task


def with_row(lines: list[str], new: str) -> list[str]:
    """The page with a row of its table replaced or added, in the order of `SYSTEMS`."""
    rows = {key_of(line): line for line in (*lines, new) if line.count('|') == HEAD.count('|')}
    return with_table(lines, HEAD, (rows[key] for key in SYSTEMS if key in rows))


def main(page: str, *names: str) -> None:
    measured = [(name, task) for name, task in SYSTEMS if task in SAMPLE]
    unknown = sorted(set(names) - {name for name, _ in measured})
    if unknown:
        raise SystemExit(f'There is no system {", ".join(unknown)} to measure.')
    for name, task in measured:
        if not names or name in names:
            new = row(name, task)
            print_log(new)
            Path(page).write_text('\n'.join(with_row(Path(page).read_text().splitlines(), new)) + '\n')


if __name__ == '__main__':
    main(*sys.argv[1:])
