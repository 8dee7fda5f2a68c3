"""Counts in a config that must equal one another: classes, channels of images and maps, levels of a pyramid."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from denseformer.config.components import component_of, default_of
from denseformer.config.findings import Finding, is_list, walk
from denseformer.suggestions import did_you_mean

HOOKS = (
    *('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'),
    *('iteration_seed', 'nan_guard', 'preemption', 'visualization'),
)
"""Names in `default_hooks`, mmengine's first."""
CHANNELS_OF_LOADERS: dict[str, tuple[str, int | None]] = {'LoadImagePair': ('channels', 3), 'LoadCube': ('bands', None)}
"""Loading transforms of restoration: the argument that is their number of channels, and its default."""
COLOR_CHANNELS = {'color': 3, 'color_ignore_orientation': 3, 'grayscale': 1}


def heads(config: Config) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(dotted key, config) of every part of the model that has a number of classes."""
    for key, part in walk(config.get('model') or {}, 'model'):
        if isinstance(part, Mapping) and isinstance(part.get('num_classes'), int):
            yield key, part


def class_weights(config: Config) -> Iterator[Finding]:
    """Weights of classes, of which a loss needs one each; a softmax over detections has one more, for nothing."""
    for head, part in heads(config):
        for key, loss in walk({k: v for k, v in part.items() if k.startswith('loss')}, head):
            weights = loss.get('class_weight') if isinstance(loss, Mapping) else None
            if not is_list(weights):
                continue
            background = '.loss_cls' in key and not loss.get('use_sigmoid', False)
            expected = part.get('out_channels') or part['num_classes'] + background
            if len(weights) != expected:
                last = ', the last one for no object' if background else ''
                yield Finding(
                    f'{key}.class_weight', f'has {len(weights)} numbers for {expected} outputs: one per class{last}.'
                )


def single_classes(config: Config) -> Iterator[Finding]:
    """A segmentation head of one class, whose softmax is 1 everywhere."""
    for key, part in heads(config):
        if 'loss_decode' in part and part['num_classes'] == 1:
            yield Finding(
                f'{key}.num_classes',
                'is 1: a softmax over one class is 1 everywhere. Make the background a class, num_classes=2 and '
                "classes=('background', ...); then, if you like, let the head have one logit: out_channels=1, and "
                'use_sigmoid=True in its loss.',
            )


def label_counts(config: Config) -> Iterator[Finding]:
    """num_classes of what loads labels or scores them."""
    count = config.get('num_classes')
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator'):
        for key, part in walk(config.get(name) or {}, name) if count is not None else ():
            if isinstance(part, Mapping) and part.get('num_classes', count) != count:
                yield Finding(
                    f'{key}.num_classes', f"is {part['num_classes']}, num_classes is {count}: write '${{num_classes}}'."
                )


def input_channels(config: Config) -> Iterator[Finding]:
    """Channels of images: as they are loaded, normalized, and taken by the network."""
    model = config.get('model') or {}
    part = 'network' if 'network' in model else 'backbone'
    preprocessor, network = model.get('data_preprocessor') or {}, model.get(part) or {}
    mean, std = preprocessor.get('mean'), preprocessor.get('std')
    if is_list(mean) and is_list(std) and len(mean) != len(std):
        yield Finding('model.data_preprocessor.std', f'has {len(std)} numbers, mean has {len(mean)}.')
    cls = component_of(network) or object
    channels = network.get('in_channels') or default_of(cls, 'in_channels') or getattr(cls, 'default_channels', None)
    if not isinstance(channels, int):
        return
    if is_list(mean) and len(mean) not in (1, channels):
        yield Finding(
            'model.data_preprocessor.mean',
            f'has {len(mean)} numbers, the {part} takes in_channels={channels}: mean and std need one per channel.',
        )
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for key, step in walk((config.get(loader) or {}).get('dataset') or {}, f'{loader}.dataset'):
            loaded = channels_loaded(step)
            if loaded is not None and loaded != channels:
                yield Finding(
                    key,
                    f'{step["type"]} reads images of {loaded} channels, the {part} takes in_channels={channels}: '
                    f'let them be read otherwise, or change {part}.in_channels.',
                )


def channels_loaded(step: Any) -> int | None:
    """The channels of the images that a transform of a pipeline reads; None where it does not say, or reads none."""
    kind = str(step.get('type', '')).rpartition('.')[2] if isinstance(step, Mapping) else ''
    if kind == 'LoadImage':
        return 3
    if kind in CHANNELS_OF_LOADERS:
        name, default = CHANNELS_OF_LOADERS[kind]
        return step.get(name, default)
    return COLOR_CHANNELS.get(step.get('color_type', 'color')) if kind == 'LoadImageFromFile' else None


def map_counts(config: Config) -> Iterator[Finding]:
    """Maps of the backbone as necks and heads take them, and levels of a pyramid as anchors do."""
    model = config.get('model') or {}
    widths = config.get('channels')
    neck = model.get('neck') or {}
    first, *later = neck if is_list(neck) else [neck]
    users = [('model.neck', first, config.get('map_channels', widths))]
    users += [('model.neck', part, widths) for part in later]
    for name in ('decode_head', 'auxiliary_head') if not neck else ():
        head, key = model.get(name), f'model.{name}'
        several = [(f'{key}[{i}]', one) for i, one in enumerate(head)] if is_list(head) else [(key, head)]
        users += [(one_key, one, widths) for one_key, one in several]
    for key, part, given in users:
        if isinstance(part, Mapping) and is_list(given):
            yield from faulty_maps(key, part, list(given))
    last = later[-1] if later else first
    levels = count_levels(last) if isinstance(last, Mapping) else None
    for name in ('rpn_head', 'bbox_head'):
        head = model.get(name)
        anchors = head.get('anchor_generator') if isinstance(head, Mapping) else None
        strides = anchors.get('strides') if isinstance(anchors, Mapping) else None
        if isinstance(levels, int) and is_list(strides) and len(strides) != levels:
            yield Finding(
                f'model.{name}.anchor_generator.strides', f"has {len(strides)} strides for the neck's {levels} maps."
            )


def count_levels(neck: Mapping[str, Any]) -> int | None:
    """The number of maps that a neck hands on: of mmdetection's FPN, or of this project's."""
    strides = neck.get('out_strides')
    return len(strides) if is_list(strides) else neck.get('num_outs')


def faulty_maps(key: str, part: Mapping[str, Any], widths: list[int]) -> Iterator[Finding]:
    """in_channels and in_index of a neck or head against the widths of the backbone's maps."""
    taken, index = part.get('in_channels'), part.get('in_index')
    if taken is None:
        return
    if is_list(index) and is_list(taken) and len(index) != len(taken):
        yield Finding(f'{key}.in_index', f'names {len(index)} maps, in_channels has {len(taken)} numbers.')
        return
    places = index if is_list(index) else [index] if isinstance(index, int) else range(len(widths))
    if any(not -len(widths) <= place < len(widths) for place in places):
        yield Finding(
            f'{key}.in_index',
            f'is {index}, the backbone has {len(widths)} maps, counted from 0: read others, or leave {key} out; '
            'backbone.out_indices names more, where the backbone has that option.',
        )
        return
    given: Any = [widths[place] for place in places]
    if isinstance(taken, int):
        given = given[0] if isinstance(index, int) else taken  # an int with several maps is a head's own business
    if (list(taken) if is_list(taken) else taken) != given:
        name = 'channels' if is_list(taken) else f'channels[{index}]'
        yield Finding(f'{key}.in_channels', f"is {taken}, the backbone's maps have {given}: write '${{{name}}}'.")


def hook_names(config: Config) -> Iterator[Finding]:
    """Hooks that are switched off under a name that no hook has."""
    for name, hook in (config.get('default_hooks') or {}).items():
        hint = did_you_mean(name, HOOKS) if hook is None and name not in HOOKS else ''
        if hint:
            yield Finding(f'default_hooks.{name}', f'is None, but no hook has this name.{hint}')
