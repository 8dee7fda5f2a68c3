"""Networks tried against the weights of a file: each is built on the meta device, and their shapes are compared.

Those of `checkpoints.stored_shapes` are not built: their table has the shapes.

A network is tried with every setting that a shipped config gives it, in its published variants, and with options that
its own rules read from the weights.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from inspect import signature
from math import isqrt
from typing import Any

from torch import nn

import denseformer.backbones  # noqa: F401 (registers)
from denseformer.checkpoints.fitting import as_loaded
from denseformer.checkpoints.keys import StateDict
from denseformer.checkpoints.layouts import as_authors
from denseformer.checkpoints.signatures import table
from denseformer.checkpoints.stored_shapes import Shapes, stored_networks
from denseformer.inspection.identity import Settings, short
from denseformer.network import Network, without_weights
from denseformer.registry import MODELS
from denseformer.restoration.networks import RestorationNetwork


@dataclass(frozen=True)
class Fit:
    """How well a network with `settings` agrees with the weights of a file.

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


def best_fits(network: str, weights: StateDict) -> list[Fit]:
    """All settings of a network that agree with the weights equally well, and better than any other.

    One setting of each variant is built at first; the others only of the variants that agree best.
    """
    weights = as_authors(short(network), weights)
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
        inferred = (fit_or_none(settings, weights) for settings in inferred_settings(network, weights))
        best = _ties([*best, *(fit for fit in inferred if fit)])
    channels = _first_channels(weights)
    if best[0].other and channels not in (None, 3):
        tries = (fit_or_none({**fit.settings, 'in_channels': channels}, weights) for fit in best)
        best = _ties([*best, *(fit for fit in tries if fit)])
    if best[0].resized:
        for name in ('window_size', 'kernel_size'):
            if name in options_of(network):
                tries = (fit_or_none({**best[0].settings, name: side}, weights) for side in sides_of_tables(weights))
                best = _ties([*best, *(fit for fit in tries if fit)])
    return best


def _ties(fits: list[Fit]) -> list[Fit]:
    least = min(fit.error for fit in fits)
    return [fit for fit in fits if fit.error == least]


def fit_or_none(settings: Settings, weights: StateDict) -> Fit | None:
    """`fit_of`, None for settings of which no network can be built."""
    try:
        return fit_of(settings, weights)
    except (ValueError, TypeError, LookupError, RuntimeError):  # a side, or channels, that the family does not take
        return None


def fit_of(settings: Settings, weights: StateDict) -> Fit:
    """How a network with these settings takes the weights."""
    own = shapes_of(settings)
    try:
        loaded = weights if settings['type'] in stored_networks() else as_loaded(built(settings), weights)
    except (ValueError, RuntimeError):  # tables of sizes that the variant does not have: of another one
        loaded = {}
    both = own.keys() & loaded.keys()
    other = tuple(key for key in sorted(both) if own[key] != loaded[key].shape)
    before = Counter(value.numel() for value in weights.values())
    after = Counter(loaded[key].numel() for key in both)
    return Fit(
        settings=settings,
        found=len(both) - len(other),
        missing=tuple(key for key in own if key not in loaded and not key.endswith('num_batches_tracked')),
        other=other,
        unknown=tuple(key for key in loaded if key not in own),
        resized=(after - before).total(),
    )


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
    if network in stored_networks():
        return [{'type': network, **settings} for settings, _ in stored_networks()[network].variants]
    shipped = shipped_settings(network)
    known = [settings.get('arch') for settings in shipped] if restores(network) else []  # an arch leaves out its scale
    archs = getattr(MODELS.get(network), 'archs', ())
    return shipped + [{'type': network, 'arch': arch} for arch in archs if arch not in known]


def restores(network: str) -> bool:
    """Whether a network is one of restoration, which answers without a head."""
    if network in stored_networks():
        return False
    cls: Any = MODELS.get(network)
    return issubclass(cls, RestorationNetwork)


def inferred_settings(network: str, weights: StateDict) -> list[Settings]:
    """The settings that a restoration network reads from weights of no shipped variant; empty for other networks.

    weights: under the authors' names or ours.
    """
    if not restores(network):
        return []
    cls: Any = MODELS.get(network)
    try:
        options = cls.infer_options(weights)
    except LookupError:  # another network, with some of the names
        options = None
    return [{'type': network, **options}] if options else []


def sides_of_tables(weights: StateDict) -> list[int]:
    """Windows and kernels that tables of relative positions may be for: k of ((2k - 1)^2, h) or (h, 2k - 1, 2k - 1)."""
    spans = set()
    for key, value in weights.items():
        if re.search(r'table$|rpb$', key):
            spans |= {isqrt(value.shape[0])} if value.ndim == 2 else set(value.shape[-1:])
    return sorted((span + 1) // 2 for span in spans if span % 2)


def _first_channels(weights: StateDict) -> int | None:
    """The input channels of the first convolution, by order of the names in the file."""
    return next((value.shape[1] for value in weights.values() if value.ndim == 4), None)


def in_channels_of(settings: Settings) -> int:
    """The input channels of the network with these settings."""
    if 'in_channels' in settings:
        return settings['in_channels']
    if settings['type'] in stored_networks():
        return stored_networks()[settings['type']].options.get('in_channels', 3)
    return getattr(built(settings), 'in_channels', 3)


def options_of(network: str) -> tuple[str, ...]:
    """The names of all options that a network takes."""
    if network in stored_networks():
        return tuple(stored_networks()[network].options)
    cls: Any = MODELS.get(network)
    return cls.options() if issubclass(cls, Network) else tuple(signature(cls).parameters)


def default_of(network: str, name: str) -> Any:
    """The value of an option that a config leaves out, as JSON has it; None where there is none."""
    if network in stored_networks():
        return stored_networks()[network].options.get(name)
    for cls in MODELS.get(network).__mro__:
        parameter = signature(vars(cls).get('__init__', object.__init__)).parameters.get(name)
        if parameter is not None:
            value = None if parameter.default is parameter.empty else parameter.default
            return list(value) if isinstance(value, tuple) else value
    return None


_BUILT: dict[str, nn.Module] = {}


def built(settings: Settings) -> nn.Module:
    """The network with these settings, built once, without weights."""
    name = repr(sorted(settings.items()))
    if name not in _BUILT:
        _BUILT[name] = without_weights(settings)
    return _BUILT[name]


def shapes_of(settings: Settings) -> Shapes:
    """The names and shapes of the tensors of the network with these settings."""
    if settings['type'] in stored_networks():
        return stored_networks()[settings['type']].shapes(settings)
    return {key: tuple(value.shape) for key, value in built(settings).state_dict().items()}
