"""The command `denseformer identify`: a checkpoint's network, head, layout and training state, from the file alone.

Names of tensors say which networks a file may hold; those are built on the meta device, in every variant and with every
option that a shipped config gives them, and the one whose shapes agree is the answer. Settings that leave the shapes
alike cannot be told apart: they are reported as open, with the values that the shipped configs use.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from inspect import signature
from itertools import chain
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

import denseformer.backbones  # noqa: F401 (registers)
from denseformer.checkpoints import CheckpointError, read_checkpoint, weights_of
from denseformer.checkpoints.addresses import local_file
from denseformer.checkpoints.fitting import PARTS, as_loaded, below, places
from denseformer.checkpoints.keys import StateDict
from denseformer.checkpoints.layouts import as_authors, as_openmmlab
from denseformer.checkpoints.onnx_file import OnnxFile, read_onnx
from denseformer.checkpoints.sharing import recorded_config
from denseformer.checkpoints.signatures import (
    DESIGN_FREE,
    LEAST,
    Head,
    Resemblance,
    head_of,
    resemblances,
    table,
    training_state,
)
from denseformer.config.loading import load_config
from denseformer.network import Network, without_weights
from denseformer.registry import MODELS
from denseformer.restoration.networks import RestorationNetwork

FITS = 0.9
"""Share of a network's tensors that a file must have, in their shapes, to hold that network."""
OPEN = (
    *('dilations', 'windows', 'windows_per_side', 'window_size', 'group_sizes', 'intervals', 'image_size', 'agents'),
    *('extrapolate', 'cells', 'kernel_size', 'pretrained_windows'),
)
"""Options of networks that change what they compute, and in some families no shape."""
SAME = 0.02
"""Difference in the share of names below which two networks, as NAT and DiNAT, may have the same names."""
FITS_ONNX = 0.5
"""`FITS` for an ONNX graph, whose exporter folds and renames some tensors."""
NOT_OPEN = ('in_channels', 'layer_scale')
"""Options whose values in several settings are one thing: the usual channels, by name or not, and an initial value."""

Settings = dict[str, Any]


@dataclass(frozen=True)
class Fit:
    """How well a network with `settings`, a config's `type`, `arch` and options, agrees with the weights of a file.

    found: tensors of the network that the weights set in their shapes; missing, other: those that they do not have, or
    have in another shape; unknown: tensors that the network has no place for; resized: how many numbers tables gained
    or lost on the way in.
    """

    settings: Settings
    found: int
    missing: tuple[str, ...]
    other: tuple[str, ...]
    unknown: tuple[str, ...]
    resized: int

    @property
    def error(self) -> tuple[int, int]:
        return len(self.missing) + len(self.other) + len(self.unknown), self.resized

    @property
    def share(self) -> float:
        return self.found / max(self.found + len(self.missing) + len(self.other), 1)


@dataclass(frozen=True)
class Identity:
    """The answer on one file.

    tensors, numbers: how many it holds; settings: of the network as a config writes them, None for an unknown one;
    layout: whose names its tensors have; prefix: where the network lies; open: option -> its usual values, for what no
    tensor tells; configs: the shipped configs that build this model; nearest: the most alike network of an unknown
    one; state: what of its training run is in the file.
    """

    path: str
    tensors: int
    numbers: int
    settings: Settings | None = None
    layout: str = ''
    prefix: str = ''
    head: Head | None = None
    in_channels: int | None = None
    share: float = 0.0
    missing: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    open: dict[str, list[Any]] = field(default_factory=dict)
    configs: tuple[str, ...] = ()
    nearest: Resemblance | None = None
    state: dict[str, Any] = field(default_factory=dict)
    onnx: OnnxFile | None = None

    def __str__(self) -> str:
        return '\n'.join(f'{name + ":":14}{text}' for name, text in self._lines() if text)

    def _lines(self) -> Iterator[tuple[str, str]]:
        kind = f'ONNX, written by {self.onnx.producer or "an unknown exporter"}; ' if self.onnx else ''
        yield 'file', f'{self.path}: {kind}{self.tensors} tensors, {self.numbers / 1e6:.2f} M numbers'
        if self.onnx:
            for name, sizes in chain(self.onnx.inputs.items(), self.onnx.outputs.items()):
                yield 'map', f'{name} ({", ".join(map(str, sizes))})'
            yield 'operators', ', '.join(f'{count} {name}' for name, count in self.onnx.operators.most_common(8))
        if self.settings is None:
            near = f'; the nearest is {_short(self.nearest.network)}, which shares ' if self.nearest else ''
            share = f'{self.nearest.share:.0%} of the names and not the shapes' if self.nearest else ''
            yield 'network', f'none that is known here{near}{share}'
        else:
            options = ', '.join(f'{name}={value!r}' for name, value in self.settings.items() if name != 'type')
            kinds = ' or '.join(map(_short, self.open.get('type', [self.settings['type']])))
            yield 'network', f'{kinds}({options})'
            yield 'layout', f'names of {self.layout}' + (f', below {self.prefix!r}' if self.prefix else '')
        if self.in_channels:
            yield 'channels', f'{self.in_channels} of the input'
        if self.head:
            counts = [f'{self.head.classes} classes'] if self.head.classes else []
            counts += [f'{self.head.queries} queries'] if self.head.queries else []
            yield 'head', ', '.join([f'{self.head.name} of {self.head.package}', *counts])
        names = self.state.get('classes', [])
        yield 'classes', ', '.join(map(str, names[:12])) + (' ...' if len(names) > 12 else '')
        for kind, keys in (('missing', self.missing), ('other shapes', self.other), ('unknown', self.unknown)):
            yield kind, f'{len(keys)}: {", ".join(keys[:4])}{" ..." if len(keys) > 4 else ""}' if keys else ''
        for name, values in self.open.items():
            if name == 'type':
                continue
            yield 'open', f'{name}, which no tensor tells; usual: {" or ".join(map(repr, values))}'
        progress = [f'{key} {self.state[key]}' for key in self.state if key not in ('holds', 'classes')]
        yield 'training', ', '.join([*self.state.get('holds', []), *progress]) or 'weights only'
        if self.settings is not None:
            yield 'configs', ', '.join(self.configs) or 'no shipped config builds this model'


def identify(path: str | Path) -> Identity:
    """Say of a checkpoint, or of an ONNX file, what it is. Raises CheckpointError for a file that cannot be read."""
    path = local_file(path)
    if path.suffix == '.onnx':
        onnx = read_onnx(path)
        return identify_weights(weights_like(onnx.shapes), path=str(path), onnx=onnx)
    return identify_content(read_checkpoint(path, mmap=True), str(path))


def identify_content(content: Mapping[str, Any], path: str) -> Identity:
    """The identity of a file by what `read_checkpoint` found in it."""
    try:
        weights = weights_of(content)
    except ValueError as error:
        raise CheckpointError(f'{path}: {error}') from error
    shapes = {key: tuple(value.shape) for key, value in weights.items()}
    return identify_weights(weights_like(shapes), path=path, state=training_state(content))


def weights_like(shapes: Mapping[str, tuple[int, ...]]) -> StateDict:
    """Tensors of these shapes that take no memory: each repeats one number.

    Renaming them joins projections and resizes tables. On the meta device PyTorch would do that in Python, slowly, and
    import its compiler first.
    """
    zero = torch.zeros((), dtype=torch.float16)
    return {key: zero.expand(shape) for key, shape in shapes.items()}


def identify_weights(weights: StateDict, **known: Any) -> Identity:
    """The identity of bare weights, which may lie on the meta device; known: fields that the file has told already."""
    numbers = sum(value.numel() for value in weights.values())
    known = {'path': '', 'tensors': len(weights), 'numbers': numbers} | known
    weights = as_openmmlab(weights)
    candidates = sorted(_candidates(weights), key=lambda candidate: -candidate[2].share)
    whole = _without_wrapper(weights)
    head = head_of(whole)
    if not candidates:
        return Identity(head=head, **known)
    nearest = candidates[0][2]
    found: list[tuple[Fit, str, Resemblance]] = []
    for prefix, part, resemblance in _first_of_each(candidates, most=4):
        if found and found[0][0].error == (0, 0) and resemblance.share < found[0][2].share - SAME:
            break
        found += [(fit, prefix, resemblance) for fit in _best_fits(resemblance.network, part)]
    least = min((fit.error for fit, _, _ in found), default=(0, 0))
    best = [one for one in found if one[0].error == least]
    if not best or best[0][0].share < (FITS if known.get('onnx') is None else FITS_ONNX):
        return Identity(head=head, nearest=nearest if nearest.share >= LEAST / 2 else None, **known)
    fit, prefix, resemblance = best[0]
    fits = [one[0] for one in best]
    return Identity(
        settings={key: value for key, value in fit.settings.items() if key == 'type' or not _is_open(key, fits)},
        layout=resemblance.layout,
        prefix=prefix,
        head=head,
        in_channels=_in_channels(fit.settings),
        share=fit.share,
        missing=fit.missing,
        other=fit.other,
        unknown=fit.unknown,
        open=_open_options(fits),
        configs=tuple(_configs(fits, head)),
        **known,
    )


def _without_wrapper(weights: StateDict) -> StateDict:
    """The weights of a whole model, without what stands before its parts (`model.`, `module.model.`)."""
    for _, part in places(weights):
        if any(key.startswith(('backbone.', 'sem_seg_head.')) for key in part):
            return part
    return weights


def _candidates(weights: StateDict) -> Iterator[tuple[str, StateDict, Resemblance]]:
    """(prefix, the weights below it, a network and layout that they resemble), for each place a network may lie in."""
    found = dict(places(weights))
    found |= {key + part: below(inner, part) for key, inner in found.items() for part in PARTS}
    for prefix, part in found.items():
        for resemblance in resemblances(part):
            yield prefix, part, resemblance


def _first_of_each(candidates: Iterable[tuple[str, StateDict, Resemblance]], most: int) -> Iterator:
    """The best candidate of each network: all whose names are the very ones of the file, otherwise `most` at most.

    Only those that resemble enough to be worth building.
    """
    seen: set[str] = set()
    for candidate in candidates:
        resemblance = candidate[2]
        worth = resemblance.share == 1 or (resemblance.share >= LEAST and len(seen) < most)
        if resemblance.network not in seen and worth:
            seen.add(resemblance.network)
            yield candidate


@cache
def shipped_settings(network: str) -> list[Settings]:
    """The distinct settings that shipped configs give to a network."""
    found: list[Settings] = []
    for config in table()['configs'].values():
        if config['network']['type'] == network and config['network'] not in found:
            found.append(config['network'])
    return found


def trials(network: str) -> list[Settings]:
    """The settings that a network is tried with: those that ship, and its published variants where none does."""
    cls: Any = MODELS.get(network)
    shipped = shipped_settings(network)
    known = [settings.get('arch') for settings in shipped]
    restores = issubclass(cls, RestorationNetwork)  # a variant alone leaves out its scale
    return shipped + [
        {'type': network, 'arch': arch} for arch in getattr(cls, 'archs', ()) if not (restores and arch in known)
    ]


def inferred_settings(network: str, weights: StateDict) -> list[Settings]:
    """The settings that a restoration network reads from weights of no shipped variant; empty for other networks.

    weights: under the authors' names or ours.
    """
    cls: Any = MODELS.get(network)
    if not issubclass(cls, RestorationNetwork):
        return []
    try:
        options = cls.infer_options(weights)
    except LookupError:  # another network, with some of the names
        options = None
    return [{'type': network, **options}] if options else []


def _best_fits(network: str, weights: StateDict) -> list[Fit]:
    """All settings of a network that agree with the weights equally well, and better than any other.

    One setting of each variant is built at first; the others only of the variants that agree best.
    """
    weights = as_authors(_short(network), weights)
    by_arch: dict[str, list[Settings]] = {}
    for settings in trials(network):
        group = by_arch.setdefault(repr(settings.get('arch')), [])
        if settings not in group:
            group.append(settings)
    first = {arch: fit_of(group[0], weights) for arch, group in by_arch.items()}
    least = min(fit.error[0] for fit in first.values())
    best = _ties(
        [
            fit
            for arch, group in by_arch.items()
            if first[arch].error[0] <= 1.5 * least
            for fit in [first[arch], *(fit_of(settings, weights) for settings in group[1:])]
        ]
    )
    if best[0].error != (0, 0):
        inferred = (_try(settings, weights) for settings in inferred_settings(network, weights))
        best = _ties([*best, *(fit for fit in inferred if fit)])
    channels = _first_channels(weights)
    if best[0].other and channels not in (None, 3):
        tries = (_try({**fit.settings, 'in_channels': channels}, weights) for fit in best)
        best = _ties([*best, *(fit for fit in tries if fit)])
    if best[0].resized:
        for name in ('window_size', 'kernel_size'):
            if name in _parameters(network):
                tries = (_try({**best[0].settings, name: side}, weights) for side in sides_of_tables(weights))
                best = _ties([*best, *(fit for fit in tries if fit)])
    return best


def sides_of_tables(weights: StateDict) -> list[int]:
    """Windows and kernels that tables of relative positions may be for: k of ((2k - 1)^2, h) or (h, 2k - 1, 2k - 1)."""
    spans = set()
    for key, value in weights.items():
        if re.search(r'table$|rpb$', key):
            spans |= {isqrt(value.shape[0])} if value.ndim == 2 else set(value.shape[-1:])
    return sorted((span + 1) // 2 for span in spans if span % 2)


def _ties(fits: list[Fit]) -> list[Fit]:
    least = min(fit.error for fit in fits)
    return [fit for fit in fits if fit.error == least]


def _try(settings: Settings, weights: StateDict) -> Fit | None:
    try:
        return fit_of(settings, weights)
    except (ValueError, TypeError, RuntimeError):  # a side that the family does not take
        return None


def fit_of(settings: Settings, weights: StateDict) -> Fit:
    """How a network with these settings takes the weights."""
    network = _built(repr(sorted(settings.items())), settings)
    own = network.state_dict()
    try:
        loaded = as_loaded(network, weights)
    except (ValueError, RuntimeError):  # tables of sizes that the variant does not have: of another one
        loaded = {}
    both = own.keys() & loaded.keys()
    other = tuple(key for key in sorted(both) if own[key].shape != loaded[key].shape)
    before = Counter(value.numel() for value in weights.values())
    after = Counter(loaded[key].numel() for key in both)
    return Fit(
        settings=settings,
        found=len(both) - len(other),
        missing=tuple(key for key in own if key not in loaded and not _is_buffer(network, key)),
        other=other,
        unknown=tuple(key for key in loaded if key not in own),
        resized=(after - before).total(),
    )


_CACHE: dict[str, nn.Module] = {}


def _built(name: str, settings: Settings) -> nn.Module:
    if name not in _CACHE:
        _CACHE[name] = without_weights(settings)
    return _CACHE[name]


def _is_buffer(network: nn.Module, key: str) -> bool:
    return key.endswith('num_batches_tracked')


def _first_channels(weights: StateDict) -> int | None:
    """The input channels of the first convolution, by order of the names in the file."""
    return next((value.shape[1] for value in weights.values() if value.ndim == 4), None)


def _parameters(network: str) -> tuple[str, ...]:
    cls: Any = MODELS.get(network)
    return cls.options() if issubclass(cls, Network) else tuple(signature(cls).parameters)


def _in_channels(settings: Settings) -> int:
    if 'in_channels' in settings:
        return settings['in_channels']
    return getattr(_built(repr(sorted(settings.items())), settings), 'in_channels', 3)


def _values(name: str, fits: list[Fit]) -> list[Any]:
    found: list[Any] = []
    for fit in fits:
        value = fit.settings.get(name, _default(fit.settings['type'], name))
        if value not in found and (name in fit.settings or name in _parameters(fit.settings['type'])):
            found.append(value)
    return found


def _default(network: str, name: str) -> Any:
    for cls in MODELS.get(network).__mro__:
        parameter = signature(vars(cls).get('__init__', object.__init__)).parameters.get(name)
        if parameter is not None:
            value = None if parameter.default is parameter.empty else parameter.default
            return list(value) if isinstance(value, tuple) else value
    return None


def _is_open(name: str, fits: list[Fit]) -> bool:
    return name not in NOT_OPEN and len(_values(name, fits)) > 1


def _open_options(fits: list[Fit]) -> dict[str, list[Any]]:
    """Option -> its usual values, for each that the shapes leave open: seen in several that fit, or known to be."""
    settings = fits[0].settings
    names = dict.fromkeys(chain.from_iterable(fit.settings for fit in fits))
    found = {name: _values(name, fits) for name in names if _is_open(name, fits)}
    for name in OPEN:
        if name in _parameters(settings['type']) and name not in found and not _is_told(name, settings):
            shipped = [one.get(name, _default(one['type'], name)) for one in shipped_settings(settings['type'])]
            usual = [_default(settings['type'], name), *shipped]
            found[name] = [value for i, value in enumerate(usual) if value not in usual[:i]]
    return found


def _is_told(name: str, settings: Settings) -> bool:
    """Whether another value of the option `name` would show in the shapes; True where the family takes no other."""
    own = _shapes(settings)
    value = settings.get(name, _default(settings['type'], name))
    shipped = [one[name] for one in shipped_settings(settings['type']) if name in one]
    for other in [*shipped, *_alternatives(value)]:
        if other == value:
            continue
        try:
            return _shapes({**settings, name: other}) != own
        except (ValueError, TypeError, LookupError, AttributeError, AssertionError, RuntimeError):  # no value of it
            continue
    return True


def _alternatives(value: Any) -> list[Any]:
    """Values that an option may take besides `value`, by its kind."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [192, 640] if value > 100 else [value + 2, value + 1]
    if isinstance(value, (list, tuple)):
        whole = all(isinstance(side, int) for side in value)
        return [[side + 2 for side in value], [2 * side for side in value]] if whole else []
    return [5, [5, 5, 5, 5]] if value is None else []


def _shapes(settings: Settings) -> dict[str, tuple[int, ...]]:
    network = _built(repr(sorted(settings.items())), settings)
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def _configs(fits: list[Fit], head: Head | None) -> Iterator[str]:
    """The shipped configs that build a network which fits, with this head; for a bare backbone none is told."""
    settings = [{key: value for key, value in fit.settings.items() if key not in DESIGN_FREE} for fit in fits]
    for name, config in table()['configs'].items():
        described = Head(config['head'], '', config.get('classes'), config.get('queries')) if 'head' in config else None
        if (described is None) != (head is None) or config['network'] not in settings:
            continue
        if described and head and not agree(described, head):
            continue
        yield name


def agree(described: Head, head: Head) -> bool:
    """Whether a config's head is the one of a file, as far as its tensors tell."""
    told = [(described.classes, head.classes), (described.queries, head.queries)]
    return described.name == head.name and all(found in (None, expected) for expected, found in told)


def config_of(identity: Identity, content: Mapping[str, Any]) -> Config:
    """The config that a whole model's file is predicted with: its run's own, or the shipped one that builds it.

    Raises ValueError where the file leaves something open, naming the configs to choose from.
    """
    meta = content.get('meta')
    if isinstance(meta, Mapping) and isinstance(meta.get('cfg'), str):
        config = recorded_config(meta['cfg'])
        if config is not None and 'model' in config:
            return config
    choice = f'; name one before the file: {", ".join(identity.configs)}' if identity.configs else ''
    if identity.settings is None or identity.head is None or not identity.configs:
        raise ValueError(
            f'{identity.path}: no shipped config builds its model; name a config before the file.\n{identity}'
        )
    if identity.open:
        raise ValueError(f'{identity.path}: no tensor tells {" and ".join(identity.open)}{choice}.')
    configs = [load_config(name) for name in identity.configs]
    if any(_as_predicted(config) != _as_predicted(configs[0]) for config in configs):
        raise ValueError(f'{identity.path}: several shipped configs build its model and predict differently{choice}.')
    return configs[0]


def _as_predicted(config: Config) -> tuple[Any, Any]:
    """The parts of a config that decide on predictions, without options of training."""

    def kept(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: kept(value) for key, value in node.items() if key not in (*DESIGN_FREE, 'train_cfg')}
        return [kept(value) for value in node] if isinstance(node, (list, tuple)) else node

    return kept(config.model.to_dict()), kept(config.get('test_pipeline'))


def _short(network: str) -> str:
    return network.removeprefix('denseformer.')
