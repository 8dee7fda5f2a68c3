"""A look at a dataset before a run: is anything left to learn, and do label maps mean what the config says?"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from denseformer.config.errors import ConfigError
from denseformer.datasets.building import built_leaf_datasets
from denseformer.datasets.detection.load_panoptic import LoadPanoptic
from denseformer.datasets.restoration.hyperspectral import LoadCube, black_bands
from denseformer.datasets.segmentation.label_maps import LoadSegmentation
from denseformer.detection.coco_content import counts_text, outline_area

LOOKED_AT = 8
"""Samples of a dataset whose files are read, evenly spread over it."""


def check_learnable(dataset: Any) -> None:
    """Raise ConfigError where a dataset has nothing to learn from, or its label maps nothing to be scored against.

    Objects are looked for in all annotations; a set that is scored may have none, not ignored ones alone. Label maps
    are looked for in the files of a few samples, which are read by the loading transforms of the pipeline. Raises
    ValueError as those do.
    """
    members = [part for part in built_leaf_datasets(dataset) if len(part)]
    training = [part for part in members if not getattr(part, 'test_mode', False) and lists_objects(part)]
    if training and not any(any(map(is_learnable, objects_of(part))) for part in training):
        raise ConfigError('; '.join(map(nothing_left, training)))
    for part in members:
        if getattr(part, 'test_mode', False) and lists_objects(part) and all_are_ignored(part):
            raise ConfigError(f'{place_of(part)}: nothing to score, all objects are crowds or ignored.')
        fault = look_at_samples(part)
        if fault:
            raise ConfigError(f'{place_of(part)}: {fault}')


def all_are_ignored(part: Any) -> bool:
    """True for a dataset that has objects and none that counts; one without annotations is predicted, not scored."""
    ignored = [bool(row.get('ignore_flag')) for row in objects_of(part)]
    return bool(ignored) and all(ignored)


def lists_objects(part: Any) -> bool:
    return bool({'instances', 'segments_info'} & set(part.get_data_info(0)))


def objects_of(part: Any) -> Iterator[Mapping[str, Any]]:
    """The objects of all images, with their masks only where the pipeline reads them."""
    masks = reads_masks(part)
    for index in range(len(part)):
        info = part.get_data_info(index)
        for row in info.get('segments_info') or info['instances']:
            yield row if masks else {key: value for key, value in row.items() if key != 'mask'}


def reads_masks(part: Any) -> bool:
    return any(getattr(step, 'with_mask', False) for step in part.pipeline.transforms)


def is_learnable(row: Mapping[str, Any]) -> bool:
    """True for an object that is not ignored, and whose mask, where it has one, is not empty."""
    return not row.get('ignore_flag') and ('mask' not in row or outline_area(row['mask']) > 0)


def nothing_left(part: Any) -> str:
    """Say that a dataset has no object to learn from, and why."""
    counts = Counter(getattr(part, 'object_counts', {}))
    counts['without an outline'] = counts.pop('', 0)
    reasons = counts_text({reason: number for reason, number in counts.items() if number})
    file = getattr(part, 'ann_file', '')
    if not reasons:
        return f"'{file}': nothing to learn, it has no annotations of objects. Add them."
    return f"'{file}': nothing is left to learn of {sum(counts.values())} objects: {reasons}. Correct the annotations."


def look_at_samples(part: Any) -> str:
    """Read a few samples; say what is wrong with their label maps, if anything is. Raises as `check_scorable`."""
    loading = loading_steps(part)
    labels: set[int] = set()
    for index in np.unique(np.linspace(0, len(part) - 1, LOOKED_AT).astype(int)).tolist():
        results: Any = part.get_data_info(index)
        for step in loading:
            results = step(results)
        labels |= set(np.unique(results.get('gt_seg_map', ())).tolist())
        check_scorable(part, results)
    return labels_fault(part, labels)


def check_scorable(part: Any, sample: Mapping[str, Any]) -> None:
    """Raise ConfigError where a cube that is scored has a band of zeros, in which errors have no relative size."""
    if not getattr(part, 'test_mode', False) or not any(isinstance(s, LoadCube) for s in part.pipeline.transforms):
        return
    bands = black_bands(sample['gt_img'])
    if bands:
        raise ConfigError(
            f"'{sample['gt_path']}': the bands {bands}, counted from 0, are 0 everywhere: ERGAS is not defined. Leave "
            'these bands out of all files, or this file out of those that are scored.'
        )


def loading_steps(part: Any) -> list[Any]:
    """The transforms that read the files of a dataset, with panoptic maps, which validation pipelines leave out."""
    loading = [step for step in part.pipeline.transforms if type(step).__name__.startswith('Load')]
    if 'listed_ids' in part.get_data_info(0) and not any(isinstance(step, LoadPanoptic) for step in loading):
        loading.append(LoadPanoptic())
    return loading


def labels_fault(part: Any, labels: Collection[int]) -> str:
    """Say what is wrong with the labels that occur in the label maps of a dataset; empty where nothing is."""
    loading = next((step for step in part.pipeline.transforms if isinstance(step, LoadSegmentation)), None)
    if loading is None:
        return ''
    ignored = loading.ignore_index
    if not set(labels) - {ignored}:
        return f'nothing is left to learn: the label maps hold {ignored} alone, which is ignored.'
    reduced = loading.reduce_zero_label or getattr(part, 'reduce_zero_label', False)
    if loading.num_classes == 2 and set(labels) == {0, ignored} and not reduced:
        return (
            f'the label maps hold 0 and {ignored} alone, as masks of black and white do; {ignored} is ignored, so that '
            f'nothing would be learned but class 0. Write 1 instead of {ignored}.'
        )
    return ''


def learning_fault(part: Any, labels: Collection[int]) -> str:
    """Say why nothing can be learned from a dataset, of which all label maps hold these labels; else empty."""
    if getattr(part, 'test_mode', False) or not len(part) or not lists_objects(part):
        return labels_fault(part, labels) if labels else ''
    return '' if any(map(is_learnable, objects_of(part))) else nothing_left(part)


def place_of(part: Any) -> str:
    prefix = getattr(part, 'data_prefix', None) or {}
    return f"'{prefix.get('seg_map_path') or getattr(part, 'ann_file', '') or getattr(part, 'data_root', '')}'"
