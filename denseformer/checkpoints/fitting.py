"""Fitting the weights of a file to a model: prefixes, input channels, and class layers of another size."""

from collections.abc import Iterator

from torch import Tensor, nn

from denseformer.checkpoints.keys import StateDict
from denseformer.checkpoints.layouts import as_openmmlab

WRAPPERS = (
    *(
        'ema_model',
        'model_ema',
        'ema',
        'teacher',
        'module',
        '_orig_mod',
        'model',
        'net',
        'network',
        'net_g',
        'generator',
    ),
    'student',
)
"""Attributes under which training programs keep a network, averaged copies first: what was published is those."""
PER_CLASS = ('head', 'label_embedding')
"""Fragments of names of layers with a row per class; the second is DINO's, of the labels whose noise is undone."""
PARTS = ('backbone.', 'network.', 'generator.')
"""Where a network lies inside a model."""


def places(weights: StateDict, prefix: str = '') -> Iterator[tuple[str, StateDict]]:
    """(prefix, the weights below it), for each place where a model may lie in a file: '' first.

    A beginning that all names share, as 'model.net_g.', is one, and so is a wrapper's beside others, as 'model.' where
    Lightning keeps 'criterion.' too.
    """
    yield prefix, weights
    firsts = {first if dot else '' for first, dot, _ in (name.partition('.') for name in weights)}
    names = firsts if len(firsts) == 1 else [name for name in WRAPPERS if name in firsts]
    for name in names:
        if name:
            yield from places(below(weights, f'{name}.'), f'{prefix}{name}.')


def below(weights: StateDict, prefix: str) -> StateDict:
    """The weights whose names begin with `prefix`, without it."""
    return {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}


def without_prefix(weights: StateDict, model: nn.Module) -> tuple[StateDict, str]:
    """The weights under the names that fit `model` best, and the prefix that was removed for it, '' for none.

    A wrapper's prefix is removed; for a model that is part of the one in the file, the part's prefix, too. Whole models
    of other packages have our names then.
    """
    weights = as_openmmlab(weights)
    if len(model.state_dict()) == matches(model, weights):
        return weights, ''
    found = dict(places(weights))
    choices = [*found.items(), *((key + part, below(inner, part)) for key, inner in found.items() for part in PARTS)]
    if hasattr(model, 'network'):  # a restorer takes the weights of its network alone
        choices += [(prefix, {f'network.{k}': v for k, v in inner.items()}) for prefix, inner in choices]
    prefix, best = max(choices, key=lambda choice: matches(model, choice[1]))
    return best, prefix


def matches(model: nn.Module, weights: StateDict) -> int:
    """How many tensors of `model` the weights would set, in whatever layout they are."""
    return len(model.state_dict().keys() & as_loaded(model, weights).keys())


def as_loaded(model: nn.Module, weights: StateDict) -> StateDict:
    """The weights under the names that they have once each network inside `model` has renamed its own."""
    renamed = dict(weights)
    for name, module in model.named_modules():
        if not hasattr(module, 'own_names'):
            continue
        prefix = f'{name}.' if name else ''
        own = {key[len(prefix) :]: renamed.pop(key) for key in list(renamed) if key.startswith(prefix)}
        own = module.own_names(own) if own else own
        renamed |= {prefix + key: value for key, value in own.items()}
    return renamed


def inflate_input(weight: Tensor, channels: int) -> Tensor:
    """A kernel (O, 3, k, k) on RGB as one on another number of channels that answers alike to gray images.

    The colors' kernels are repeated in turn and scaled by 3 / channels.
    """
    repeated = weight.repeat(1, -(-channels // 3), 1, 1)[:, :channels]
    return repeated * (3 / channels)


def fit(model: nn.Module, weights: StateDict) -> tuple[StateDict, list[str]]:
    """The weights that `model` can start from, under its own names, and notes on all that was changed for it.

    A first convolution on RGB serves another number of input channels; layers of a head and embeddings of labels that
    have another number of rows, those of other classes, are left out. What does not fit otherwise is handed back as it
    is.
    """
    weights, prefix = without_prefix(weights, model)
    notes = [f"without their prefix '{prefix}'"] if prefix else []
    weights, own = as_loaded(model, weights), model.state_dict()
    for key, value in list(weights.items()):
        if key not in own or own[key].shape == value.shape:
            continue
        shape = own[key].shape
        if value.ndim == len(shape) == 4 and value.shape[1] == 3 and value.shape[2:] == shape[2:]:
            weights[key] = inflate_input(value, shape[1])
            notes.append(f'{key}: inflated from 3 to {shape[1]} input channels')
        elif value.ndim == len(shape) and value.shape[1:] == shape[1:] and any(part in key for part in PER_CLASS):
            del weights[key]
            notes.append(f'{key}: left out, it has {value.shape[0]} outputs instead of {shape[0]}')
    return weights, notes
