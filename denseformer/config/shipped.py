"""The configs that ship: where they are, by which names they are found, and what each of them trains.

In a checkout they lie in `configs/` beside the package; a wheel carries them inside it, as `denseformer/_configs`.
Importing this module lets `_base_` of any config name one of their bases by `denseformer::_base_/heads/upernet.py`, and
a data file, `data.yaml`, in place of a dataset's base.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config

PACKAGE = Path(__file__).parents[1]
PREFIX = 'denseformer::'
DATA_FILES = ('.yaml', '.yml')
TASKS = {
    'datasets/parts/panoptic': 'panoptic segmentation',
    'datasets/coco_detection': 'detection',
    'datasets/parts/boxes': 'detection',
    'datasets/parts/instances': 'instance segmentation',
    'datasets/parts/segmentation': 'semantic segmentation',
    'datasets/denoising': 'denoising',
    'datasets/jpeg': 'JPEG artifact removal',
    'datasets/rain': 'deraining',
    'datasets/inpainting': 'inpainting',
    'datasets/chikusei': 'hyperspectral super-resolution',
    'datasets/set5': 'super-resolution',
    'datasets/images': 'training without labels',
}
"""Base -> task. The first that a config builds on, at any depth, decides."""
METRICS = {
    'mIoU': 'mIoU',
    'multi_scale': 'multi-scale',
    'mDice': 'Dice',
    'mIoU (multi-scale)': 'multi-scale mIoU',
    'bbox_mAP': 'box AP',
    'segm_mAP': 'mask AP',
    'PQ': 'PQ',
    'PSNR': 'PSNR',
    'ssim': 'SSIM',
}
"""Key of `published` -> what the field calls it."""


@dataclass(frozen=True)
class ShippedConfig:
    """One line of `denseformer list configs`; `result` is what the authors published, '' where they did not."""

    name: str
    task: str
    data: str
    result: str


def config_folder() -> Path:
    """The folder of the shipped configs, bases in `_base_` below it."""
    packaged = PACKAGE / '_configs'
    return packaged if packaged.is_dir() else PACKAGE.parent / 'configs'


def config_names() -> list[str]:
    """Names of all shipped configs, without `.py`, in alphabetical order."""
    return sorted(path.stem for path in config_folder().glob('*.py'))


def find_config(name: str | Path) -> Path | None:
    """The file at the path `name`, or else the shipped config of that name, with or without `.py`; None for neither."""
    path = Path(name)
    if path.is_file():
        return path
    shipped = config_folder() / path.with_suffix('.py')
    is_name = path.name == str(name) and path.suffix in ('', '.py')
    return shipped if is_name and shipped.is_file() else None


def shipped_configs(words: Sequence[str] = ()) -> Iterator[ShippedConfig]:
    """The shipped configs in whose name, task, data or result every one of `words` occurs, in any case."""
    for name in config_names():
        config = describe(name)
        text = ' '.join((config.name, config.task, config.data, config.result)).lower()
        if all(word.lower() in text for word in words):
            yield config


def describe(name: str) -> ShippedConfig:
    """Describe a shipped config by its text; the config is not run."""
    bases = base_names(config_folder() / f'{name}.py')
    data = next(base for base in bases if base.startswith('datasets/')).removeprefix('datasets/')
    task = next(task for base, task in TASKS.items() if base in bases)
    for suffix in ('_images', '_squares', '_square', '_eomt', '_detection', '_instance', '_panoptic'):
        data = data.removesuffix(suffix)
    published = assigned(config_folder() / f'{name}.py').get('published')
    return ShippedConfig(name, task, data, published_scores(published) if published else '')


@cache
def base_names(file: Path) -> tuple[str, ...]:
    """Bases of a shipped config or base at every depth, as 'heads/upernet'; a base stands before its own bases."""
    named = assigned(file).get('_base_', [])
    found: list[str] = []
    for base in [named] if isinstance(named, str) else named:
        path = (file.parent / base).resolve()
        found += [path.relative_to(config_folder().resolve() / '_base_').with_suffix('').as_posix(), *base_names(path)]
    return tuple(found)


def assigned(file: Path) -> dict[str, Any]:
    """Values of `_base_` and `published`, the keys that every config writes as literals."""
    return {
        target.id: literal(statement.value)
        for statement in ast.parse(file.read_text(encoding='utf-8')).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name) and target.id in ('_base_', 'published')
    }


def literal(node: ast.expr) -> Any:
    """The value of a literal, or of `dict(name=literal, ...)`."""
    if isinstance(node, ast.Call):
        return {str(keyword.arg): literal(keyword.value) for keyword in node.keywords}
    return ast.literal_eval(node)


def published_scores(published: Mapping[str, Any]) -> str:
    """A `published` record in words: 'mIoU 44.5, multi-scale 45.8', with the test set where the record names one."""
    named = {published['metric']: published['value'], **published}
    scores = ', '.join(f'{METRICS[key]} {value}' for key, value in named.items() if key in METRICS)
    return f'{scores} on {published["data"]}' if 'data' in published else scores


def as_table(configs: Sequence[ShippedConfig]) -> str:
    """One line per config, its columns aligned."""
    rows = [(config.name, config.task, config.data, config.result) for config in configs]
    widths = [max(map(len, column), default=0) for column in zip(*rows, strict=True)]
    return '\n'.join('  '.join(map(str.ljust, row, widths)).rstrip() for row in rows)


def base_path(name: str, filename: str) -> tuple[str, str | None]:
    """(path, scope) of a base named in the config `filename`, as mmengine asks for it.

    A shipped base has no scope: components of this project are named with theirs; nor has that of a data file, which
    `folders` writes. All others are left to mmengine.
    """
    if name.endswith(DATA_FILES) and '::' not in name:
        from denseformer.folders import dataset_base  # which imports mmdetection: only where there is a data file

        return str(dataset_base(Path(filename).parent / name)), None
    if name.startswith(PREFIX):
        return str(config_folder() / name.removeprefix(PREFIX)), None
    return mmengine_base_path(name, filename)


mmengine_base_path = Config._get_cfg_path
Config._get_cfg_path = staticmethod(base_path)
