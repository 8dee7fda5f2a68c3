"""The rules by which `fit` chooses model, sizes, batch, schedule and learning rate: a table, and how it is applied.

A row of the table is what suits a task on a device; number and size of images decide the rest. `denseformer fit DATA
--explain` prints every choice with its reason.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mmengine.config import Config

from denseformer.checkpoints.catalog import of_variant
from denseformer.config.shipped import config_folder
from denseformer.fitting.systems import FEW_QUERIES, JITTER, MIT_B2, SYSTEMS, System, systems_for, tasks_of
from denseformer.suggestions import did_you_mean


@dataclass(frozen=True)
class Facts:
    """Facts that the rules decide by.

    train, val: numbers of images; long, short: the median sides of the images; object_side: the median of the shorter
    sides of boxes, 0 without boxes; objects: the most in one image; scale: how many times larger targets are;
    smallest: the shortest side of any target of pairs, 0 for others.
    device: 'cpu' or 'cuda'; memory: GiB of the GPU; cores: of the CPU.
    """

    task: str
    train: int
    val: int
    long: int
    short: int
    classes: int = 0
    object_side: float = 0.0
    objects: int = 0
    scale: int = 1
    smallest: int = 0
    device: str = 'cpu'
    memory: float = 0.0
    cores: int = 1
    model: str | None = None


@dataclass(frozen=True)
class Row:
    """The choice that suits a task on a device.

    bases: besides the network's and the dataset's; network: its base; sizes: keys that make network and head smaller.
    long: the longest side of images; crop: side of the squares that are trained on; batch: images a step.
    passes: over the training images; least, most: iterations; rate: the learning rate; larger_rate: of a backbone that
    is asked for without a GPU, which has more parameters; keys: others.
    gigabytes: of GPU memory for one image; multiple: sides of crops are multiples of it; smallest: the side to which
    smaller images are enlarged; squares: whether images are tested on the squares of the crops, which they are resized
    to fit, with black around them.
    """

    bases: tuple[str, ...]
    network: str
    sizes: Mapping[str, Any]
    long: int
    crop: int
    batch: int
    passes: int
    least: int
    most: int
    rate: float
    larger_rate: float = 2.5e-4
    keys: Mapping[str, Any] = field(default_factory=dict)
    gigabytes: float = 1.5
    multiple: int = 32
    smallest: int = 32
    squares: bool = False


NARROW_HEAD = {'model': {'decode_head': {'channels': 64}, 'auxiliary_head': {'channels': 32}}}
NARROW_STREAMS = {
    'backbone': {
        'arch': {'_delete_': True, 'widths': (16, 32, 64, 128), 'depths': (1, 1, 2, 1), 'heads': (1, 1, 2, 4)}
    },
    'head_channels': 32,
}
NARROW_BOXES = {'pyramid': 64, 'anchor_scale': 3, 'model': {'bbox_head': {'stacked_convs': 2}}}
PRETRAINED = {'backbone': {'pretrained': 'imagenet1k', 'drop_path_rate': 0.2}}
SMALL_CFSR = {'network': {'arch': {'_delete_': True, 'dim': 32, 'groups': 1, 'blocks': 4, 'kernel_size': 7}}}
DENOISING = {'network': {'arch': 'denoising'}}
SMALL_SWINIR = {
    'network': {'arch': {'_delete_': True, 'dim': 32, 'groups': 2, 'blocks': 2, 'heads': 4, 'upsampler': ''}}
}
BY_STAGE = {'layer_decay': 0.9, 'decay_by': 'stage', 'layers': 6, 'vector_decay': False}
DECAYS: Mapping[str, Mapping[str, Any]] = {
    'convnext': BY_STAGE,
    'hornet': BY_STAGE,
    'ffnet': {'layer_decay': 0.9, 'decay_by': 'group', 'layers': 12, 'vector_decay': False},
    'vim': {'layer_decay': 0.92},
}
"""Layer-wise decay of the learning rate by which the authors' segmentors of these backbones go on from weights."""
START, RESOLUTION = 'imagenet1k', re.compile(r'_\d{3}$')
"""ImageNet's label, and what `pretrained` may leave out of one."""
DEFAULT_BACKBONE = 'backbones/dinat'
"""The backbone on GPUs, in two sizes."""
ONE_LOGIT = 'heads/parts/upernet_one_logit'
"""The head of a class and its background."""
SQUARES = 'datasets/parts/squares'
ITERATIONS, EPOCHS, PIXELS = 'runtime/default', 'runtime/epochs', 'runtime/restoration'

# fmt: off
TABLE: Mapping[tuple[str, str], Row] = {
    ('segmentation', 'cpu'): Row(
        ('heads/upernet', 'schedules/adamw_minutes', ITERATIONS), 'backbones/dinat_nano', NARROW_HEAD,
        long=512, crop=256, batch=4, passes=16, least=400, most=2400, rate=5e-4, larger_rate=5e-4),
    ('segmentation', 'cuda'): Row(
        ('heads/upernet', 'schedules/adamw_short', ITERATIONS), 'backbones/dinat', PRETRAINED,
        long=2048, crop=512, batch=16, passes=60, least=4000, most=80_000, rate=1e-4, gigabytes=1.2),
    ('detection', 'cpu'): Row(
        ('heads/retinanet', 'schedules/adamw_minutes_epochs', EPOCHS), 'backbones/dinat_nano', NARROW_BOXES,
        long=320, crop=0, batch=4, passes=6, least=300, most=1500, rate=1e-3),
    ('detection', 'cuda'): Row(
        ('heads/retinanet', 'schedules/adamw_1x_multiscale', EPOCHS), 'backbones/dinat', PRETRAINED,
        long=1333, crop=0, batch=16, passes=24, least=3000, most=90_000, rate=1e-4, gigabytes=5),
    ('instances', 'cpu'): Row(
        ('heads/parts/mask_rcnn_small', 'schedules/adamw_minutes_epochs', EPOCHS), 'backbones/dinat_nano', JITTER,
        long=320, crop=0, batch=2, passes=8, least=320, most=1500, rate=1e-3),
    ('instances', 'cuda'): Row(
        ('heads/mask_rcnn', 'schedules/adamw_1x_multiscale', EPOCHS), 'backbones/dinat', PRETRAINED,
        long=1333, crop=0, batch=16, passes=24, least=3000, most=90_000, rate=1e-4, gigabytes=6),
    ('panoptic', 'cpu'): Row(
        ('heads/mask2former_panoptic', 'datasets/parts/cropping', 'schedules/mask2former_minutes', EPOCHS),
        'backbones/dinat_nano', FEW_QUERIES,
        long=320, crop=256, batch=4, passes=24, least=600, most=3000, rate=1e-3, keys={'distorted': 0.0}),
    ('panoptic', 'cuda'): Row(
        ('heads/mask2former_panoptic', 'schedules/mask2former_50e', EPOCHS), 'backbones/dinat', PRETRAINED,
        long=1333, crop=1024, batch=16, passes=50, least=5000, most=368_750, rate=1e-4, gigabytes=8),
    ('video', 'cpu'): Row(
        ('systems/isomer', 'schedules/adamw_minutes', ITERATIONS), 'backbones/mit', NARROW_STREAMS,
        long=0, crop=256, batch=4, passes=16, least=400, most=2400, rate=1e-3, larger_rate=5e-4),
    ('video', 'cuda'): Row(
        ('systems/isomer', 'schedules/adamw_short', ITERATIONS), 'backbones/mit', MIT_B2,
        long=0, crop=512, batch=16, passes=60, least=4000, most=80_000, rate=6e-5, gigabytes=3),
    ('restoration', 'cpu'): Row(
        ('restorers/charbonnier', 'schedules/adam_minutes', PIXELS), 'networks/swinir', SMALL_SWINIR,
        long=0, crop=48, batch=4, passes=20, least=400, most=1600, rate=2e-3),
    ('restoration', 'cuda'): Row(
        ('restorers/charbonnier', 'schedules/adam_minutes', PIXELS), 'networks/swinir', DENOISING,
        long=0, crop=128, batch=8, passes=400, least=20_000, most=300_000, rate=2e-4, gigabytes=6),
    ('super-resolution', 'cpu'): Row(
        ('restorers/l1', 'schedules/adam_minutes', PIXELS), 'networks/cfsr', SMALL_CFSR,
        long=0, crop=48, batch=8, passes=100, least=400, most=1600, rate=2e-3),
    ('super-resolution', 'cuda'): Row(
        ('restorers/l1', 'schedules/adam_minutes', PIXELS), 'networks/cfsr', {},
        long=0, crop=64, batch=32, passes=2000, least=20_000, most=300_000, rate=5e-4, gigabytes=0.5),
}
# fmt: on
SMALLEST_OBJECT = 12
"""Pixels of the shorter side below which objects are lost: images are kept larger for them, up to twice as large."""
SMALL_GPU = 8
"""GiB below which the smallest published variant of the backbone is taken."""
AVERAGED = 20
"""The average of the weights reaches over this part of the run."""
VALIDATIONS = 4
PASTED, PASTED_BELOW, PASTED_FROM = 0.5, 10_000, 3000
"""Share of images into which objects of others are pasted: in sets of fewer images, in runs of as many iterations."""
EPOCH_TASKS = ('detection', 'instances', 'panoptic')
PIXEL_TASKS = ('restoration', 'super-resolution')


@dataclass(frozen=True)
class Choice:
    """One decision: topic, value in words, and the reason; `keys` of the config that say it."""

    topic: str
    value: str
    reason: str
    keys: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """Bases and choices of a run."""

    bases: tuple[str, ...]
    choices: tuple[Choice, ...]

    @property
    def keys(self) -> dict[str, Any]:
        """The keys of the config, those of one name merged."""
        merged: dict[str, Any] = {}
        for choice in self.choices:
            merged = merge(merged, choice.keys)
        return merged


def choose(facts: Facts) -> Recipe:
    """The recipe for a dataset on a device. Raises ValueError for a model that does not ship or serves other tasks."""
    row = TABLE[facts.task, facts.device]
    asked = facts.model
    system = SYSTEMS.get((asked or '', facts.task))
    if system is not None:
        row, facts = row_of(system, facts), replace(facts, model=None)
    network = row.network if facts.model is None else network_base(facts.model, facts.task)
    size = images(facts, row)
    crop = crops(facts, row, size)
    batch = batches(facts, row)
    iterations, steps = schedule(facts, row, batch.keys['batch_size'])
    start = weights_for(network) if facts.model and facts.device == 'cuda' and facts.task not in PIXEL_TASKS else ''
    if row.bases[0] == 'heads/upernet' and facts.classes == 2:
        row = replace(row, bases=(ONE_LOGIT, *row.bases[1:]))
    choices = [
        model(facts, row, network, start),
        head(row) if system is None else Choice('system', str(asked), 'as asked for', row.keys),
        *size,
        *crop,
        batch,
        steps,
        rate(facts, row, start),
        *layer_decay(network, start),
        *pasting(facts, iterations),
        averaging(row, iterations),
        workers(facts),
    ]
    return Recipe((*([network] if network else []), *row.bases), tuple(choices))


def row_of(system: System, facts: Facts) -> Row:
    """The row of a system: that of its task, or of the one it is like, with what it changes."""
    row = TABLE[system.like or facts.task, facts.device]
    change = system.cpu if facts.device == 'cpu' else system.cuda
    bases = (
        change.head or system.head,
        *(change.schedule if change.schedule and is_schedule(base) else base for base in row.bases[1:]),
        *([SQUARES] if change.squares else []),
    )
    network = change.network if change.network is not None else system.network
    sizes = row.sizes if change.sizes is None and bases[0] == row.bases[0] else change.sizes or {}
    if network is None and 'backbone' in row.sizes:
        sizes = merge({'backbone': row.sizes['backbone']}, sizes)
    names = ('long', 'passes', 'rate', 'gigabytes', 'multiple', 'smallest', 'squares')
    given = {'network': network, **{name: getattr(change, name) for name in names}}
    changes = {name: value for name, value in given.items() if value is not None}
    return replace(row, bases=bases, sizes=sizes, keys=merge(row.keys, change.keys), **changes)


def is_schedule(base: str) -> bool:
    return base.startswith('schedules/')


def network_base(name: str, task: str) -> str:
    """The base of a backbone, or of a restoration network, by its name; raises ValueError for any other name."""
    room = 'networks' if task in PIXEL_TASKS else 'backbones'
    known = sorted(path.stem for path in (config_folder() / '_base_' / room).glob('*.py'))
    if name in known:
        return f'{room}/{name}'
    systems = systems_for(task)
    kinds = [('Systems', systems)] if systems else []
    listed = '. '.join(f'{kind}: {", ".join(names)}' for kind, names in (*kinds, (room.capitalize(), known)))
    if served := tasks_of(name):
        ask = f'Where the folder is labelled for it, --task {served[0]} asks for that.'
        raise ValueError(f"the system '{name}' is for {' and '.join(served)}, not for {task}. {listed}. {ask}")
    hint = did_you_mean(name, [*systems, *known])
    raise ValueError(f"no model for {task} is called '{name}'.{hint} {listed}.")


def base_config(name: str) -> Config:
    """A shipped base by its name, such as 'schedules/adamw_short'."""
    return Config.fromfile(config_folder() / '_base_' / f'{name}.py')


def weights_for(network: str) -> str:
    """The label of ImageNet's weights that are published for the variant in a backbone's base, '' where none are."""
    backbone = base_config(network)['backbone']
    name, arch = str(backbone['type']).removeprefix('denseformer.'), backbone.get('arch')
    if not isinstance(arch, str):
        return ''
    labels = sorted(file.label for file in of_variant(name, arch) if file.label.startswith(START))
    return START if START in {RESOLUTION.sub('', label) for label in labels} else next(iter(labels), '')


def starts_from_weights(row: Row) -> bool:
    """Whether the network of a row starts from published weights."""
    own = base_config(row.network).get('backbone', {}) if row.network else {}
    backbone = {**own, **row.sizes.get('backbone', {})}
    return bool('load_from' in row.keys or backbone.get('pretrained') or backbone.get('init_cfg'))


def model(facts: Facts, row: Row, network: str, start: str) -> Choice:
    name = network.rpartition('/')[2] or "the system's own"
    if facts.model is not None:
        keys = merge(head_keys(row), {'backbone': {'pretrained': start}} if start else {})
        return Choice('model', name, f'as asked for, {f"weights of {start}" if start else "from random weights"}', keys)
    if facts.device == 'cpu':
        return Choice('model', name, 'no GPU: a network of few parameters, from random weights', row.sizes)
    if facts.task in PIXEL_TASKS:
        return Choice('model', name, 'a GPU: the published size, from random weights', row.sizes)
    if network != DEFAULT_BACKBONE:
        weights = 'published' if starts_from_weights(row) else 'random'
        return Choice('model', name, f'a GPU: the published size, from {weights} weights', row.sizes)
    arch = 'mini' if facts.memory < SMALL_GPU else 'tiny'
    keys = merge(row.sizes, {'backbone': {'arch': arch}})
    return Choice('model', f'{name} {arch}', f'a GPU of {facts.memory:.0f} GiB: published weights of ImageNet', keys)


def head_keys(row: Row) -> dict[str, Any]:
    """The sizes that a row gives to all but the network."""
    return {key: value for key, value in row.sizes.items() if key not in ('backbone', 'network')}


def head(row: Row) -> Choice:
    name = row.bases[0].rpartition('/')[2]
    return Choice('head or loss', name, 'the one with the least to tune', row.keys)


def images(facts: Facts, row: Row) -> list[Choice]:
    """The size that images are read at; none in restoration, which changes no size, and for videos, read as crops."""
    if not row.long:
        return []
    factor = min(1.0, row.long / facts.long)
    reason = f'images of {facts.long} x {facts.short}'
    reason += f', at most {row.long} on this device' if factor < 1 else ' as they are'
    if factor < 1 and 0 < facts.object_side * factor < SMALLEST_OBJECT:
        factor = min(1.0, 2 * factor, SMALLEST_OBJECT / facts.object_side)
        reason += f'; larger for objects of {facts.object_side:.0f} pixels'
    size = max(round(facts.long * factor), row.smallest), max(round(facts.short * factor), row.smallest)
    reason += f', at least {row.smallest} for as many queries' if facts.short * factor < row.smallest > 32 else ''
    return [Choice('size', f'{size[0]} x {size[1]}', reason, {'image_scale': size})]


def crops(facts: Facts, row: Row, size: list[Choice]) -> list[Choice]:
    if not row.crop:
        return []
    if facts.task in PIXEL_TASKS:
        short = facts.smallest or facts.short
        side = max(min(row.crop, short // facts.scale // 8 * 8), 8)
        reason = f'patches of degraded images, at most {row.crop}'
        reason += f', which the smallest image, {short} pixels, holds' if side < row.crop and facts.smallest else ''
        return [Choice('crop', f'{side} x {side}', reason, {'patch_size': side})]
    long, short = size[0].keys['image_scale'] if size else (facts.long, facts.short)
    side = max(min(row.crop, long if row.squares else short) // row.multiple * row.multiple, row.multiple)
    reason = f'the {"long" if row.squares else "short"} side in steps of {row.multiple}, at most {row.crop}'
    keys: dict[str, Any] = {'crop_size': (side, side)}
    if row.squares:
        reason += '; tested on such squares, which images are resized to fit'
        keys |= {'image_scale': '${crop_size}', 'test_pipeline': '${padded_pipeline}'}
    return [Choice('crop', f'{side} x {side}', reason, keys)]


def batches(facts: Facts, row: Row) -> Choice:
    fits = row.batch if facts.device == 'cpu' else max(int(facts.memory * 0.8 / row.gigabytes), 2)
    images_there = row.batch if facts.task in PIXEL_TASKS else facts.train  # an image gives many patches
    batch = max(min(row.batch, fits, images_there), 2)
    reason = 'as few cores compute' if facts.device == 'cpu' else f'{facts.memory:.0f} GiB hold so many'
    if batch == images_there < row.batch:
        reason = 'all training images'
    keys = {'batch_size': batch, **({'base_batch_size': batch} if facts.task in PIXEL_TASKS else {})}
    return Choice('batch', f'{batch} images', reason, keys)


def schedule(facts: Facts, row: Row, batch: int) -> tuple[int, Choice]:
    """(iterations, how long training goes on and when it validates)."""
    each = max(facts.train / batch, 1)
    wanted = min(max(round(row.passes * each), row.least), row.most)
    reason = f'{row.passes} passes over {facts.train} images, {row.least} to {row.most} iterations'
    if facts.task not in EPOCH_TASKS:
        interval = max(wanted // VALIDATIONS, 1)
        iterations = interval * VALIDATIONS
        keys = schedule_keys(row, {'max_iters': iterations, 'val_interval': interval}, iterations)
        return iterations, Choice(
            'schedule', f'{iterations} iterations', f'{reason}; validated {VALIDATIONS} times', keys
        )
    epochs = max(math.ceil(wanted / math.ceil(each)), 2)
    interval = max(math.ceil(epochs / VALIDATIONS), 1)
    steps = sorted({step for step in (round(epochs * 0.75), round(epochs * 0.92)) if 0 < step < epochs})
    iterations = epochs * math.ceil(each)
    keys = schedule_keys(row, {'epochs': epochs, 'val_interval': interval, 'steps': steps}, iterations)
    text = f'{epochs} epochs of {math.ceil(each)} iterations'
    return iterations, Choice('schedule', text, f'{reason}; validated every {interval}', keys)


def schedule_keys(row: Row, keys: Mapping[str, Any], iterations: int) -> dict[str, Any]:
    """`keys` and the warm-up, as far as the row's schedule reads them."""
    own = schedule_base(row)
    warmup = max(min(50, iterations // 10), 2)
    keys = {**keys, 'warmup_iters': warmup}
    if 'mask_starts' in own:  # EoMT's masks are phased out one after another
        sixths = [iterations * part // 6 for part in range(1, 6)]
        more = {'max_iters': iterations, 'warmups': [warmup, 2 * warmup]}
        keys |= {**more, 'mask_starts': sixths[:-1], 'mask_ends': sixths[1:]}
    return {key: value for key, value in keys.items() if key in own}


def schedule_base(row: Row) -> Config:
    return base_config(next(base for base in row.bases if is_schedule(base)))


def rate(facts: Facts, row: Row, start: str) -> Choice:
    value = row.rate
    published = bool(start) if facts.model is not None else starts_from_weights(row)
    reason = 'from published weights' if published else 'from random weights'
    if facts.model is not None and facts.device == 'cpu' and facts.task not in PIXEL_TASKS:
        value, reason = row.larger_rate, 'a larger network than the table has'
    return Choice('learning rate', f'{value:g}', reason, {'optim_wrapper': {'optimizer': {'lr': value}}})


def layer_decay(network: str, start: str) -> list[Choice]:
    """Lower rates for lower layers, where weights are published and the authors go on from them so."""
    settings = DECAYS.get(network.rpartition('/')[2])
    if not start or settings is None:
        return []
    value = f'{settings["layer_decay"]} by {settings.get("decay_by", "block")}'
    return [
        Choice('layer-wise decay', value, "as in the authors' recipes", {'optim_wrapper': {'paramwise_cfg': settings}})
    ]


def pasting(facts: Facts, iterations: int) -> list[Choice]:
    """Copy-paste, which makes other images of few, and needs a run that sees each of them often."""
    if facts.task != 'instances':
        return []
    if facts.train >= PASTED_BELOW or iterations < PASTED_FROM:
        reason = f'it is for fewer than {PASTED_BELOW} images and runs of {PASTED_FROM} iterations or more'
        return [Choice('copy-paste', 'none', reason)]
    return [Choice('copy-paste', f'into {PASTED:.0%}', f'{facts.train} images, a long run', {'copy_paste': PASTED})]


def averaging(row: Row, iterations: int) -> Choice:
    """The momentum of the average: its reach is a part of the run. Other hooks of the schedule stay."""
    momentum = round(min(max(AVERAGED / iterations, 1e-4), 0.5), 5)
    others = [hook for hook in schedule_base(row).get('custom_hooks', []) if hook['type'] != 'EMAHook']
    hooks = [*others, {'type': 'EMAHook', 'momentum': momentum}]
    return Choice('averaging', f'momentum {momentum:g}', f'over a {AVERAGED}th of the run', {'custom_hooks': hooks})


def workers(facts: Facts) -> Choice:
    count = max(min(facts.cores - 1, 8 if facts.device == 'cuda' else 2), 1)
    return Choice('loading', f'{count} processes', f'{facts.cores} cores', {'num_workers': count})


def merge(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`more` merged into `base`, dict by dict."""
    merged = dict(base)
    for key, value in more.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged
