"""The command `denseformer identify`: a checkpoint's network, head, layout and training state, from the file alone.

Names of tensors say which networks a file may hold (`checkpoints.signatures`). Those are tried (`fits`), and the one
whose shapes agree is the answer. Settings that leave the shapes alike cannot be told apart: they are reported as open,
with the values that the shipped configs use (`choices`).
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from denseformer.checkpoints import CheckpointError, read_checkpoint, weights_of
from denseformer.checkpoints.addresses import local_file
from denseformer.checkpoints.fitting import PARTS, below, places
from denseformer.checkpoints.keys import StateDict
from denseformer.checkpoints.layouts import as_openmmlab
from denseformer.checkpoints.onnx_file import read_onnx
from denseformer.checkpoints.signatures import LEAST, Resemblance, head_of, is_low_rank, resemblances, training_state
from denseformer.inspection.choices import configs_of, is_open, open_options
from denseformer.inspection.fits import Fit, best_fits, in_channels_of
from denseformer.inspection.identity import Identity

FITS = 0.9
"""Share of a network's tensors that a file must have, in their shapes, to hold that network."""
FITS_ONNX = 0.5
"""`FITS` for an ONNX graph, whose exporter folds and renames some tensors."""
SAME = 0.02
"""Difference in the share of names below which two networks, as NAT and DiNAT, may have the same names."""


def identify(path: str | Path) -> Identity:
    """Say of a checkpoint, or of an ONNX file, what it is. Raises CheckpointError for a file that cannot be read."""
    path = local_file(path)
    if path.suffix == '.onnx':
        onnx = read_onnx(path)
        return identify_weights(weights_like(onnx.shapes), path=str(path), onnx=onnx)
    return identify_content(read_checkpoint(path, mmap=True), str(path))


def identify_content(content: Mapping[str, Any], path: str) -> Identity:
    """The identity of a file by what `read_checkpoint` found in it.

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
    return identify_weights(weights_like(shapes), path=path, state=training_state(content, weights))


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
        found += [(fit, prefix, resemblance) for fit in best_fits(resemblance.network, part)]
    least = min((fit.error for fit, _, _ in found), default=(0, 0))
    best = [one for one in found if one[0].error == least]
    if not best or best[0][0].share < (FITS if known.get('onnx') is None else FITS_ONNX):
        return Identity(head=head, nearest=nearest if nearest.share >= LEAST / 2 else None, **known)
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
        open=open_options(fits, configs),
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
