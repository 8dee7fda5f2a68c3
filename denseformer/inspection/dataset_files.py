"""Data sets whose annotation files others wrote: a broken one is named, one that leads out of its folder refused."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS

from denseformer.config.audit import leaves
from denseformer.config.loading import ConfigError

MALFORMED = (RecursionError, LookupError, TypeError, AttributeError, AssertionError, ValueError)
"""What data sets raise, depending on where an annotation file is not what they take for granted."""


def build_dataset(config: Mapping[str, Any]) -> Any:
    """The data set of a config, which has read its annotation file. Raises ConfigError, which names a broken one."""
    try:
        dataset = DATASETS.build(config)
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    except MALFORMED as error:
        files = ', '.join(Path(part['ann_file']).name for _, part in leaves('', config) if part.get('ann_file'))
        if not files or files in str(error):
            raise
        raise ConfigError(
            f'{files}: cannot be read as annotations ({type(error).__name__}: {error}). `denseformer doctor` looks at '
            'what is in it.'
        ) from error
    return dataset


def check_listed_files(dataset: Any) -> None:
    """Raise ConfigError when an annotation file names an image outside the folders that the config names.

    Names are compared, not what links lead to: links are made by whoever owns the folders.
    """
    for part in parts(dataset):
        folders = [os.path.abspath(folder) for folder in folders_of(part)]
        if not folders or not getattr(part, 'ann_file', ''):
            continue
        inside = tuple(os.path.join(folder, '') for folder in folders)
        for index in range(len(part)):
            for key, path in part.get_data_info(index).items():
                if is_file_name(key, path) and not os.path.abspath(path).startswith(inside):
                    raise ConfigError(
                        f"{part.ann_file}: lists '{path}' ({key}), which is outside {', '.join(folders)}; refused. "
                        'Name the folder in data_prefix if the file belongs to the data set.'
                    )


def parts(dataset: Any) -> Iterator[Any]:
    """The data sets inside wrappers such as ConcatDataset and RepeatDataset."""
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    if inner == [None]:
        yield dataset
    else:
        for part in inner:
            yield from parts(part)


def folders_of(dataset: Any) -> list[str]:
    prefixes = getattr(dataset, 'data_prefix', None) or {}
    return [folder for folder in (getattr(dataset, 'data_root', ''), *prefixes.values()) if folder]


def is_file_name(key: str, value: Any) -> bool:
    return key.endswith('_path') and isinstance(value, str) and '://' not in value
