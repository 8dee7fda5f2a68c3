"""The command `denseformer identify`: a checkpoint's network, head, layout and training state, from the file alone.

Names of tensors say which networks a file may hold (`checkpoints.signatures`). Those are tried (`fits`), and the one
whose shapes agree is the answer. Settings that leave the shapes alike cannot be told apart: they are reported as open,
with the values that the shipped configs use (`choices`). Where the run, or `save_pretrained`, wrote a config beside the
weights, and they are those of its network, nothing is searched for and nothing is open.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch.nn.modules.module import register_module_parameter_registration_hook

from denseformer.checkpoints import CheckpointError, read_checkpoint, weights_of
from denseformer.checkpoints.addresses import local_file
from denseformer.checkpoints.fitting import PARTS, below, places
from denseformer.checkpoints.keys import StateDict
from denseformer.checkpoints.layouts import as_openmmlab
from denseformer.checkpoints.onnx_file import read_onnx
from denseformer.checkpoints.recorded import config_in, walk
from denseformer.checkpoints.sharing import saved_parts, saved_weights
from denseformer.checkpoints.signatures import (
    DESIGN_FREE,
    LEAST,
    Resemblance,
    head_of,
    is_low_rank,
    resemblances,
    training_state,
)
from denseformer.checkpoints.stored_shapes import stored_networks
from denseformer.inspection.choices import configs_of, is_open, open_options
from denseformer.inspection.fits import Fit, best_fits, fit_or_none, in_channels_of
from denseformer.inspection.identity import Identity, Settings
from denseformer.network import Network
from denseformer.registry import MODELS

FITS = 0.9
"""Share of a network's tensors that a file must have, in their shapes, to hold that network."""
FITS_ONNX = 0.5
"""`FITS` for an ONNX graph, whose exporter folds and renames some tensors."""
SAME = 0.02
"""Difference in the share of names below which two networks, as NAT and DiNAT, may have the same names."""
MADE_PER_TENSOR = 4
"""Parameters that a network may make for each tensor of a file: some are replaced, some split when they are loaded."""
LARGEST = 1 << 20
"""The largest number in the settings of a network that is built to compare it with a file."""


def identify(path: str | Path) -> Identity:
    """Say of a checkpoint, an ONNX file, or a folder of `save_pretrained`, what it is.

    Raises CheckpointError for a file that cannot be read.
    """
    saved, path = _saved(Path(path)) if Path(path).is_dir() else (None, local_file(path))
    if path.suffix == '.onnx':
        onnx = read_onnx(path)
        return identify_weights(weights_like(onnx.shapes), path=str(path), onnx=onnx)
    return identify_content(read_checkpoint(path, mmap=True), str(path), saved)


def _saved(folder: Path) -> tuple[Config | None, Path]:
    """The parts of a folder of `save_pretrained`, without a config that is more than literals."""
    try:
        return saved_parts(folder)
    except CheckpointError:
        return None, saved_weights(folder)


def _recorded(content: Mapping[str, Any], path: str) -> Config | None:
    """The config in a checkpoint; None where there is none, or it is more than literals."""
    try:
        return config_in(content, path)
    except CheckpointError:
        return None


def identify_content(content: Mapping[str, Any], path: str, saved: Config | None = None) -> Identity:
    """The identity of a file by what `read_checkpoint` found in it.

    saved: the config that stands beside it; None takes the one in the file.
    Raises CheckpointError where it holds no weights, or nothing but updates of others.
    """
    try:
        weights = weights_of(content)
    except ValueError as error:
        raise CheckpointError(f'{path}: {error}') from error
    if all(map(is_low_rank, weights)):
        raise CheckpointError(
            f'{path}: low-rank updates (LoRA) alone, without the weights that they change. Merge the two where they '
            'were trained, and save the whole network.'
        )
    shapes = {key: tuple(value.shape) for key, value in weights.items()}
    recorded = network_in(saved or _recorded(content, path))
    return identify_weights(weights_like(shapes), recorded, path=path, state=training_state(content, weights))


def network_in(config: Config | None) -> Settings | None:
    """The settings of this project's network in a config, without those of training; None where there is none."""
    whole = {} if config is None else config.to_dict()
    parts = [part for part in (whole, whole.get('model')) if isinstance(part, Mapping)]
    networks = [part.get(name) for part in parts for name in ('backbone', 'network')]
    known = [
        each for each in networks if isinstance(each, Mapping) and str(each.get('type')).startswith('denseformer.')
    ]
    if not known:
        return None
    settings = {key: value for key, value in known[0].items() if key not in DESIGN_FREE}
    return json.loads(json.dumps(settings, default=str))  # as the table has them: lists for tuples


def weights_like(shapes: Mapping[str, tuple[int, ...]]) -> StateDict:
    """Tensors of these shapes that take no memory: each repeats one number.

    Renaming them joins projections and resizes tables. On the meta device PyTorch would do that in Python, slowly, and
    import its compiler first.
    """
    zero = torch.zeros((), dtype=torch.float16)
    return {key: zero.expand(shape) for key, shape in shapes.items()}


def identify_weights(weights: StateDict, recorded: Settings | None = None, **known: Any) -> Identity:
    """The identity of bare weights, which may lie on the meta device.

    recorded: the network that a config beside them has; known: fields that the file has told already.
    """
    numbers = sum(value.numel() for value in weights.values())
    known = {'path': '', 'tensors': len(weights), 'numbers': numbers} | known
    weights = as_openmmlab(weights)
    head = head_of(_without_wrapper(weights))
    found = _as_recorded(recorded, weights) if recorded else []
    nearest = None
    if not found:
        candidates = sorted(_candidates(weights), key=lambda candidate: -candidate[2].share)
        if not candidates:
            return Identity(head=head, **known)
        nearest = candidates[0][2]
        for prefix, part, resemblance in _first_of_each(candidates, most=4):
            if found and found[0][0].error == (0, 0) and resemblance.share < found[0][2].share - SAME:
                break
            found += [(fit, prefix, resemblance) for fit in best_fits(resemblance.network, part)]
    least = min((fit.error for fit, _, _ in found), default=(0, 0))
    best = [one for one in found if one[0].error == least]
    if not best or best[0][0].share < (FITS if known.get('onnx') is None else FITS_ONNX):
        return Identity(head=head, nearest=nearest if nearest and nearest.share >= LEAST / 2 else None, **known)
    fit, prefix, resemblance = best[0]
    alone = all(key.startswith(prefix) for key in weights)
    fits = [one[0] for one in best]
    configs = tuple(configs_of(fits, head, alone=alone))
    return Identity(
        settings={key: value for key, value in fit.settings.items() if key == 'type' or not is_open(key, fits)},
        layout=resemblance.layout,
        prefix=prefix,
        head=head,
        in_channels=in_channels_of(fit.settings),
        share=fit.share,
        missing=fit.missing,
        other=fit.other,
        unknown=fit.unknown,
        open=open_options(fits, configs) if nearest else {},
        configs=configs,
        alone=alone,
        **known,
    )


def _without_wrapper(weights: StateDict) -> StateDict:
    """The weights of a whole model, without what stands before its parts (`model.`, `module.model.`)."""
    for _, part in places(weights):
        if any(key.startswith(('backbone.', 'sem_seg_head.')) for key in part):
            return part
    return weights


def _as_recorded(settings: Settings, weights: StateDict) -> list[tuple[Fit, str, Resemblance]]:
    """The network of these settings, where some weights are its very own; empty otherwise.

    Settings may be a stranger's: a network that is more than a network alone is not built, nor is one with many more
    parameters than there are weights.
    """
    if not is_network_alone(settings):
        return []
    for prefix, part in _places(weights).items():
        with at_most(MADE_PER_TENSOR * len(weights)):
            fit = fit_or_none(settings, part)
        if fit is not None and fit.error == (0, 0):
            return [(fit, prefix, Resemblance(settings['type'], 'denseformer', 1.0))]
    return []


def is_network_alone(settings: Settings) -> bool:
    """Whether the settings are those of a network of this project that makes no component of theirs by its `type`."""
    name = str(settings['type'])
    if not MODELS.has(name.removeprefix('denseformer.')):
        return False
    parts = list(walk([value for key, value in settings.items() if key != 'type']))
    alone = not any(isinstance(part, Mapping) and 'type' in part for part in parts)
    small = all(abs(part) <= LARGEST for part in parts if isinstance(part, (int, float)))
    cls: Any = MODELS.get(name)
    return alone and small and (name in stored_networks() or issubclass(cls, Network))


@contextmanager
def at_most(parameters: int) -> Iterator[None]:
    """A context in which ValueError is raised as soon as more parameters are made."""
    made = count(1)

    def check(*_: Any) -> None:
        if next(made) > parameters:
            raise ValueError(f'a network of more than {parameters} parameters')

    hook = register_module_parameter_registration_hook(check)
    try:
        yield
    finally:
        hook.remove()


def _places(weights: StateDict) -> dict[str, StateDict]:
    """{prefix: the weights below it} of each place a network may lie in."""
    found = dict(places(weights))
    return found | {key + part: below(inner, part) for key, inner in found.items() for part in PARTS}


def _candidates(weights: StateDict) -> Iterator[tuple[str, StateDict, Resemblance]]:
    """(prefix, the weights below it, a network and layout that they resemble), for each place a network may lie in."""
    for prefix, part in _places(weights).items():
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
