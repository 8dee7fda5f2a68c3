"""Choices that the tensors of a file leave open, and the shipped configs that it may be of."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

from mmengine.config import Config

from denseformer.checkpoints.recorded import config_in, for_prediction
from denseformer.checkpoints.signatures import DESIGN_FREE, Head, table
from denseformer.checkpoints.stored_shapes import stored_networks
from denseformer.config.loading import load_config
from denseformer.inspection.fits import Fit, default_of, options_of, restores, shapes_of, shipped_settings
from denseformer.inspection.identity import Identity, Settings

OPEN = (
    *('dilations', 'windows', 'windows_per_side', 'window_size', 'group_sizes', 'intervals', 'image_size', 'agents'),
    *('extrapolate', 'cells', 'kernel_size', 'pretrained_windows', 'last_map'),
)
"""Options of networks that change what they compute, and in some families no shape."""
NOT_OPEN = ('in_channels', 'layer_scale')
"""Options whose values in several settings are one thing: the usual channels, by name or not, and an initial value."""

TOLD_BY_HEAD = ('last_map',)
"""Options that follow from the head in front of which a network stands, as an adapter's of detectors and segmentors."""

WHOLE = {'num_classes', 'class_names'}
"""Options of networks that answer without a head."""


def open_options(fits: list[Fit], configs: Sequence[str]) -> dict[str, list[Any]]:
    """Option -> its usual values, for each that the shapes leave open: seen in several that fit, or known to be.

    configs: the shipped ones that fit, head and all. An option that follows from the head is not open where they agree.
    """
    settings = fits[0].settings
    names = dict.fromkeys(chain.from_iterable(fit.settings for fit in fits))
    found = {name: _values(name, fits) for name in names if is_open(name, fits)}
    if settings['type'] in stored_networks():
        return {**stored_networks()[settings['type']].open, **found}
    for name in OPEN:
        if name in TOLD_BY_HEAD and len(_values_in(configs, name)) == 1:
            continue
        if name in options_of(settings['type']) and name not in found and not _is_told(name, settings):
            shipped = [one.get(name, default_of(one['type'], name)) for one in shipped_settings(settings['type'])]
            usual = [default_of(settings['type'], name), *shipped]
            found[name] = [value for i, value in enumerate(usual) if value not in usual[:i]]
    return found


def is_open(name: str, fits: list[Fit]) -> bool:
    return name not in NOT_OPEN and len(_values(name, fits)) > 1


def _values(name: str, fits: list[Fit]) -> list[Any]:
    found: list[Any] = []
    for fit in fits:
        value = fit.settings.get(name, default_of(fit.settings['type'], name))
        if value not in found and (name in fit.settings or name in options_of(fit.settings['type'])):
            found.append(value)
    return found


def _values_in(configs: Sequence[str], name: str) -> set[Any]:
    """The values that these shipped configs give to an option."""
    networks = [table()['configs'][config]['network'] for config in configs]
    return {network.get(name, default_of(network['type'], name)) for network in networks}


def _is_told(name: str, settings: Settings) -> bool:
    """Whether another value of the option `name` would show in the shapes; True where the family takes no other."""
    own = shapes_of(settings)
    value = settings.get(name, default_of(settings['type'], name))
    shipped = [one[name] for one in shipped_settings(settings['type']) if name in one]
    for other in [*shipped, *_alternatives(value)]:
        if other == value:
            continue
        try:
            return shapes_of({**settings, name: other}) != own
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


def configs_of(fits: list[Fit], head: Head | None, *, alone: bool) -> Iterator[str]:
    """The shipped configs that build a network which fits, with this head; alone: there is nothing beside it."""
    settings = [{key: value for key, value in fit.settings.items() if key not in DESIGN_FREE} for fit in fits]
    for name, config in table()['configs'].items():
        if config['network'] in settings and _has_head(config, head, alone=alone):
            yield name


def _has_head(config: Mapping[str, Any], head: Head | None, *, alone: bool) -> bool:
    """Whether a config's model has the head of a file. Heads of one system alone are known by their classes."""
    if 'head' in config:
        described = Head(config['head'], '', config.get('classes'), config.get('queries'))
        return head is not None and agree(described, head)
    if 'classes' not in config:  # of restoration or pretraining
        return head is None and (not alone or restores(config['network']['type']))
    if head is None:
        return not WHOLE.isdisjoint(config['network'])
    one_logit = config['classes'] == 2 and head.classes == 1
    return head.name not in described_heads() and (one_logit or head.classes in (None, config['classes']))


@cache
def described_heads() -> set[str]:
    """The heads that the table of shipped configs names."""
    return {config['head'] for config in table()['configs'].values() if 'head' in config}


def agree(described: Head, head: Head) -> bool:
    """Whether a config's head is the one of a file, as far as its tensors tell."""
    told = [(described.classes, head.classes), (described.queries, head.queries)]
    return described.name == head.name and all(found in (None, expected) for expected, found in told)


def config_of(identity: Identity, content: Mapping[str, Any]) -> Config:
    """The config that a whole model's file is predicted with: its run's own, or the shipped one that builds it.

    Raises ValueError where the file leaves something open, naming the configs to choose from, and where its run's own
    config names what `for_prediction` does not allow.
    """
    config = config_in(content, identity.path)
    if config is not None and 'model' in config:
        return for_prediction(config, identity.path)
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
