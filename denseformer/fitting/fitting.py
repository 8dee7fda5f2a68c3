"""`fit`: look at a folder, say what is in it, write a config, and train it."""

import os
import pprint
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from denseformer.engine import launch
from denseformer.fitting.rules import Facts, Recipe, choose
from denseformer.folders import Found, Listing, understand, write_dataset
from denseformer.folders.data_file import FILE_NAMES
from denseformer.folders.writing import HERE, counts, image_size
from denseformer.options import TrainOptions, takes_options

FOLDER, CONFIG = 'dataset', 'config.py'
MODEL_BASES = ('backbones/', 'networks/', 'heads/', 'systems/', 'restorers/')
SHOWN_CLASSES = 12


@takes_options(TrainOptions)
def fit(
    data: str,
    options: TrainOptions = TrainOptions(),  # noqa: B008 (frozen)
    *,
    task: str = 'auto',
    model: str | None = None,
    out: str | None = None,
    explain: bool = False,
) -> Any:
    """Train a model on a folder of images and labels, or on what a data file describes; returns the Runner.

    What is in the folder is recognised (docs/own_data.md lists the formats) and printed. Written rules choose the
    recipe, which goes into OUT/dataset/config.py, and `train` trains that config.

    Args:
        data: a folder, or a `data.yaml`.
        task: 'segmentation', 'detection', 'instances', 'panoptic', 'restoration', 'super-resolution' or
            'video'; 'auto' takes the one that the folder is labelled for, and of videos with masks the masks.
        model: a system such as 'mask2former', or a backbone or restoration network by the name of its base, such as
            'swin'; default: by the rules.
        out: the run's folder; default: work_dirs/<name of the folder, or of the data file>.
        explain: print every choice with its reason and the config, and stop; None is returned.

    Raises FolderError, a ValueError, for a folder that cannot be understood: it lists what was expected and what was
    found, file by file. Raises ValueError where OUT holds a config of an earlier fit, and for several processes.
    """
    if options.launcher != 'none':
        raise ValueError('fit writes its config in one process; start several with `train OUT/dataset/config.py`.')
    out = out or options.work_dir or str(Path('work_dirs') / run_name(data))
    path = Path(out) / FOLDER / CONFIG
    console = Console(soft_wrap=True, markup=False, highlight=False)
    if not (path.is_file() and options.resume):
        if path.is_file() and not (options.overwrite or explain):
            raise ValueError(
                f'{path} is there already. Train it as it is: denseformer train {path}; go on with its run: --resume; '
                'begin again: --overwrite.'
            )
        found, listing = understand(data, task)
        recipe = choose(facts_of(found, listing, options.device, model))
        print_found(console, found, listing)
        if explain:
            print_choices(console, recipe)
            console.print(config_text(recipe))
            return None
        write_dataset(found, listing, path.parent)
        path.write_text(config_text(recipe), encoding='utf-8')
    console.print(f'The config is {path}; `denseformer train` takes it, edited or not.')
    return launch.train(str(path), replace(options, work_dir=out))


def run_name(data: str) -> str:
    """The name of the folder, or of the data file, or of the folder of a data file whose name says nothing."""
    path = Path(data).resolve()
    if path.name in FILE_NAMES:
        return path.parent.name
    return path.stem if path.suffix in ('.yaml', '.yml') and not path.is_dir() else path.name


def facts_of(found: Found, listing: Listing, device: str, model: str | None) -> Facts:
    """The facts that the rules look at. device: as in `TrainOptions`."""
    on_gpu = torch.cuda.is_available() if device == 'auto' else device.startswith('cuda')
    long, short = image_size(found, listing)
    things = [thing for sample in found.samples for thing in sample.things]
    return Facts(
        task=found.task,
        train=len(found.of('train')),
        val=len(found.of('val')),
        long=long,
        short=short,
        classes=len(found.classes),
        object_side=median(min(thing.box[2:]) for thing in things) if things else 0.0,
        objects=max(max(len(sample.things), len(sample.segments)) for sample in found.samples),
        scale=found.scale,
        smallest=min((min(s.size) for s in found.of('train') if s.labels and s.size), default=0),
        device='cuda' if on_gpu else 'cpu',
        memory=torch.cuda.get_device_properties(0).total_memory / 2**30 if on_gpu else 0.0,
        cores=len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1,
        model=model,
    )


def config_text(recipe: Recipe) -> str:
    """The short config of a recipe, which builds on the dataset's base beside it."""
    bases = [f'denseformer::_base_/{base}.py' for base in recipe.bases]
    models = sum(base.startswith(MODEL_BASES) for base in recipe.bases)
    lines = [
        '# Chosen by `denseformer fit`; --explain says why. Edit it, and train it by `denseformer train`.',
        '_base_ = [',
        *(f"    '{base}'," for base in (*bases[:models], './data.py', *bases[models:])),
        ']',
        f"work_dir = '{HERE}/..'",
    ]
    lines += [f'{key} = {written(value)}' for key, value in recipe.keys.items()]
    return '\n'.join(lines) + '\n'


def written(value: Any) -> str:
    """A value as configs write it: dicts by `dict(...)`."""
    if isinstance(value, Mapping):
        return f'dict({", ".join(f"{key}={written(part)}" for key, part in value.items())})'
    if isinstance(value, list):
        return f'[{", ".join(map(written, value))}]'
    return pprint.pformat(value)


def print_found(console: Console, found: Found, listing: Listing) -> None:
    """Print what was recognised: format, task, numbers, sizes, classes, and what is suspicious."""
    long, short = image_size(found, listing)
    console.print(f'{listing.root}: {found.format}, {found.task}')
    scale = f', x{found.scale}' if found.scale > 1 else ''
    console.print(f'  {counts(found)} of {long} x {short} pixels (median){scale}')
    if found.classes:
        numbers = {
            split: Counter(n for s in found.of(split) for n in found.classes_of(s)) for split in ('train', 'val')
        }
        table = Table('class', 'training images', 'validation images')
        counted = any(numbers['train'].values())  # masks of publishers' layouts are not read
        for name in found.classes[:SHOWN_CLASSES]:
            table.add_row(name, *(str(numbers[split][name]) if counted else '' for split in numbers))
        console.print(table)
        if len(found.classes) > SHOWN_CLASSES:
            console.print(f'  ... {len(found.classes)} classes in all')
    for note in found.notes:
        console.print(f'  note: {note}')


def print_choices(console: Console, recipe: Recipe) -> None:
    table = Table('choice', 'value', 'because')
    for choice in recipe.choices:
        table.add_row(choice.topic, choice.value, choice.reason)
    console.print(table)
