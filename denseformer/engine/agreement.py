"""Agreement of a checkpoint with the config that uses it: classes, inputs, and settings of the run.

A model whose classes are listed in another order, or whose images are normalized by other numbers, computes without an
error and answers wrongly. `trained_with` is therefore written into every checkpoint, beside mmengine's `dataset_meta`.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope

from denseformer.checkpoints import CheckpointError
from denseformer.config.audit import metainfo
from denseformer.config.components import component_of, default_of
from denseformer.config.findings import is_list
from denseformer.datasets.building import leaf_datasets

RECORD = 'trained_with'
"""The key of a checkpoint's `meta`."""
TOLERANCE = 1e-4
LISTED = 6


def describe_training(config: Config, *, processes: int, epoch_length: int | None) -> dict[str, Any]:
    """Facts of a run that checkpoints keep, as plain data: inputs of the model, and the settings of training."""
    return {
        'inputs': describe_inputs(config, 'train_dataloader'),
        'settings': {
            'optim_wrapper': plain(config.get('optim_wrapper')),
            'param_scheduler': plain(config.get('param_scheduler')),
            'train_cfg': plain({**(config.get('train_cfg') or {}), 'val_interval': None}),
            'train_dataloader': {'batch_size': (config.get('train_dataloader') or {}).get('batch_size')},
            'auto_scale_lr': plain(config.get('auto_scale_lr')),
            'processes': processes,
        },
        'epoch_length': epoch_length,
    }


def plain(value: Any) -> Any:
    """A part of a config as dicts, lists, numbers and texts."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def describe_inputs(config: Config, loader: str) -> dict[str, Any]:
    """How images and labels reach the model, as far as the config says: {name of the setting: value}."""
    model = config.get('model') or {}
    model = model.get('module') or model
    preprocessor = model.get('data_preprocessor') or {}
    found = {
        f'data_preprocessor.{name}': plain(preprocessor.get(name))
        for name in ('mean', 'std', 'bgr_to_rgb', 'rgb_to_bgr')
    }
    for part in ('backbone', 'network'):
        if part in model:
            channels = model[part].get('in_channels')
            found['in_channels'] = channels or default_of(component_of(model[part]) or object, 'in_channels')
    for dataset in datasets_in(config, loader):
        cls = component_of(dataset) or object
        found['reduce_zero_label'] = dataset.get('reduce_zero_label', default_of(cls, 'reduce_zero_label'))
    return {name: value for name, value in found.items() if value is not None}


def datasets_in(config: Config, loader: str) -> list[Mapping[str, Any]]:
    """The configs of the datasets behind a loader, without their wrappers."""
    dataset = (config.get(loader) or {}).get('dataset') or {}
    return [leaf for _, leaf in leaf_datasets(loader, dataset)]


def check_agreement(config: Config, meta: Mapping[str, Any] | None, path: Any, loader: str = 'test_dataloader') -> None:
    """Raise CheckpointError where the config means other classes or other inputs than the checkpoint at `path`.

    meta: what the checkpoint says of its run; nothing is compared that it does not say. loader: the one that counts.
    """
    init_default_scope(config.get('default_scope') or 'mmengine')
    problems = list(disagreements(config, meta or {}, loader))
    if problems:
        raise CheckpointError(f'{path}: does not belong to {config.filename or "this config"}: {" ".join(problems)}')


def disagreements(config: Config, meta: Mapping[str, Any], loader: str) -> Iterator[str]:
    """A sentence on each thing that the checkpoint and the config say differently."""
    known = meta.get('dataset_meta') or {}
    trained, classes = classes_of(config, meta, loader)
    if trained and classes:
        yield from class_disagreements(trained, classes)
    before = dict((meta.get(RECORD) or {}).get('inputs') or {})
    if 'reduce_zero_label' in known:
        before['reduce_zero_label'] = known['reduce_zero_label']
    now = describe_inputs(config, loader)
    for name in before.keys() & now.keys():
        if not equal(before[name], now[name]):
            yield f'it was trained with {name}={before[name]}, the config says {now[name]}.'


def classes_of(config: Config, meta: Mapping[str, Any], loader: str) -> tuple[list[str], list[str]]:
    """The classes that a checkpoint was trained on and those of the config; empty where one does not say."""
    known = meta.get('dataset_meta') or {}
    trained = known.get('classes') or known.get('CLASSES') or meta.get('CLASSES')
    now = next((names for dataset in datasets_in(config, loader) if (names := metainfo(dataset)[0])), None)
    return list(map(str, trained)) if is_list(trained) else [], list(map(str, now)) if is_list(now) else []


def replaced_classes(config: Config, meta: Mapping[str, Any]) -> Iterator[str]:
    """A sentence where a run starts from a checkpoint of as many other classes, whose class layers it takes over."""
    init_default_scope(config.get('default_scope') or 'mmengine')
    trained, now = classes_of(config, meta, 'train_dataloader')
    before, after = [spelled(name) for name in trained], [spelled(name) for name in now]
    if len(trained) != len(now) or before == after:
        return
    if Counter(before) == Counter(after):
        yield (
            f'its {len(now)} classes are those of the config in another order, so that the class layers begin with the '
            f'wrong ones. Set metainfo.classes to {some(trained, len(trained))} to begin with the right ones.'
        )
        return
    pairs = [f'{a} -> {b}' for a, b, c, d in zip(trained, now, before, after, strict=True) if c != d]
    yield f'the class layers begin with those of as many other classes: {some(pairs)}.'


def class_disagreements(trained: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    """A sentence where two lists of classes differ in more than the spelling of names."""
    before, after = [spelled(name) for name in trained], [spelled(name) for name in now]
    if before == after:
        return
    if Counter(before) == Counter(after):
        first = next(i for i, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1])
        yield (
            f"the config lists the same {len(now)} classes in another order: number {first} is '{trained[first]}' in "
            f"the checkpoint and '{now[first]}' in the config. Set metainfo.classes to {some(trained, len(trained))}."
        )
        return
    only_trained = [name for name in trained if spelled(name) not in after]
    only_now = [name for name in now if spelled(name) not in before]
    yield (
        f'it was trained on {len(trained)} classes, the config has {len(now)}; only in the checkpoint: '
        f'{some(only_trained)}; only in the config: {some(only_now)}. Name the classes as they were, or train on the '
        'new ones with --load-from.'
    )


def spelled(name: str) -> str:
    """A class's name without what datasets write differently: case, blanks, hyphens."""
    return re.sub(r'[\W_]+', '', name).casefold()


def some(names: Sequence[str], limit: int = LISTED) -> str:
    return (', '.join(names[:limit]) + (' ...' if len(names) > limit else '')) or 'none'


def equal(one: Any, other: Any) -> bool:
    """Whether two settings are the same; numbers within `TOLERANCE`, and whatever kind of list they stand in."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-12)
    return one == other


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """{dotted key: (before, now)} of the settings of a run that are not what they were."""
    old, new = dict(leaves(before)), dict(leaves(now))
    keys = dict.fromkeys([*old, *new])
    return {key: (old.get(key), new.get(key)) for key in keys if not equal(old.get(key), new.get(key))}


def leaves(node: Any, key: str = '') -> Iterator[tuple[str, Any]]:
    """Every (dotted key, value) below `node` that is no container; lists of numbers are values."""
    if isinstance(node, Mapping):
        for name, item in node.items():
            yield from leaves(item, f'{key}.{name}' if key else str(name))
    elif isinstance(node, list) and any(isinstance(item, (Mapping, list)) for item in node):
        for i, item in enumerate(node):
            yield from leaves(item, f'{key}[{i}]')
    else:
        yield key, node
