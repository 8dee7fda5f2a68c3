"""Lists and folders of images for mmsegmentation's datasets, as people write and mistake them.

mmsegmentation adds `img_suffix` to each line of an `ann_file`, whatever the line ends in, and takes an empty line for a
file. Importing this module lets all its datasets read lists as `XMLDataset` does: names with or without the suffix,
blank lines left out, and an image that is not there named with its list. A folder that is not there, or holds nothing
of the dataset, is named, too.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmseg.datasets import BaseSegDataset

from denseformer.datasets.lists import read_names


def load_data_list(dataset: BaseSegDataset) -> list[dict[str, Any]]:
    """The samples of the dataset's list, or of its folders where it has none."""
    if not dataset.ann_file or os.path.isdir(dataset.ann_file):
        with folders_named():
            return load_folders(dataset)
    infos = []
    for name in read_names(dataset.ann_file, [dataset.img_suffix], dataset.backend_args):
        info = {'img_path': os.path.join(dataset.data_prefix.get('img_path') or '', name + dataset.img_suffix)}
        if dataset.data_prefix.get('seg_map_path') is not None:
            info['seg_map_path'] = os.path.join(dataset.data_prefix['seg_map_path'], name + dataset.seg_map_suffix)
        if dataset.backend_args is None and '://' not in info['img_path'] and not os.path.isfile(info['img_path']):
            raise ValueError(
                f"'{dataset.ann_file}' lists '{name}', but there is no file '{info['img_path']}'. Write names below "
                f"data_prefix.img_path, with or without img_suffix='{dataset.img_suffix}'."
            )
        settings = {'label_map': dataset.label_map, 'reduce_zero_label': dataset.reduce_zero_label, 'seg_fields': []}
        infos.append({**info, **settings})
    return infos


@contextmanager
def folders_named() -> Iterator[None]:
    """Turns the error of a folder that cannot be listed into a ValueError that names it."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(
            f"There is no folder '{error.filename}'. Check data_root and data_prefix; data/README.md has the layouts."
        ) from error


def filter_data(dataset: BaseSegDataset) -> list[dict[str, Any]]:
    """All samples; raises ValueError where there are none, of which mmengine makes no array."""
    if not dataset.data_list:
        folder = dataset.data_prefix.get('img_path') or dataset.data_root
        raise ValueError(
            f"{type(dataset).__name__} has no image of '{folder}'. Check data_root and data_prefix, the split or list, "
            f"and that names end in '{dataset.img_suffix}'."
        )
    return dataset.data_list


load_folders = BaseSegDataset.load_data_list
BaseSegDataset.load_data_list = load_data_list
BaseSegDataset.filter_data = filter_data
