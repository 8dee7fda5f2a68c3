"""Datasets from their configs: broken annotation files are named, files outside their folder refused."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS

MALFORMED = (RecursionError, LookupError, TypeError, AttributeError, AssertionError, ValueError)
"""Raised by datasets, depending on where an annotation file is not as they expect."""


class DatasetError(ValueError):
    """A dataset whose annotation file is broken, or lists files that it may not; the message names it."""


def build_dataset(config: Mapping[str, Any]) -> Any:
    """Build the dataset of a config, which reads its annotation file. Raises DatasetError, which names a broken one."""
    try:
        dataset = DATASETS.build(config)
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    except MALFORMED as error:
        files = ', '.join(Path(part['ann_file']).name for _, part in leaf_datasets('', config) if part.get('ann_file'))
        if not files or files in str(error):
            raise
        raise DatasetError(
            f'{files}: cannot be read as annotations ({type(error).__name__}: {error}). `denseformer doctor` looks at '
            'what is in it.'
        ) from error
    return dataset


def leaf_datasets(key: str, config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(dotted key, config) of the datasets inside wrappers such as ConcatDataset and RepeatDataset."""
    if isinstance(config.get('dataset'), Mapping):
        yield from leaf_datasets(f'{key}.dataset', config['dataset'])
    elif config.get('datasets'):
        for i, part in enumerate(config['datasets']):
            yield from leaf_datasets(f'{key}.datasets[{i}]', part)
    else:
        yield key, config


def check_listed_files(dataset: Any) -> None:
    """Raise DatasetError when an annotation file names an image outside the folders that the config names.

    Names are compared, not what links lead to: links are made by whoever owns the folders.
    """
    for part in built_leaf_datasets(dataset):
        folders = [os.path.abspath(folder) for folder in folders_of(part)]
        if not folders or not getattr(part, 'ann_file', ''):
            continue
        inside = tuple(os.path.join(folder, '') for folder in folders)
        for index in range(len(part)):
            for key, path in part.get_data_info(index).items():
                if is_file_name(key, path) and not os.path.abspath(path).startswith(inside):
                    raise DatasetError(
                        f"{part.ann_file}: lists '{path}' ({key}), which is outside {', '.join(folders)}; refused. "
                        'Name the folder in data_prefix if the file belongs to the dataset.'
                    )


def built_leaf_datasets(dataset: Any) -> Iterator[Any]:
    """The datasets inside wrappers such as ConcatDataset and RepeatDataset."""
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    if inner == [None]:
        yield dataset
    else:
        for part in inner:
            yield from built_leaf_datasets(part)


def folders_of(dataset: Any) -> list[str]:
    prefixes = getattr(dataset, 'data_prefix', None) or {}
    return [folder for folder in (getattr(dataset, 'data_root', ''), *prefixes.values()) if folder]


def is_file_name(key: str, value: Any) -> bool:
    return key.endswith('_path') and isinstance(value, str) and '://' not in value
