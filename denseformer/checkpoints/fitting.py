"""Fitting the weights of a file to a model: prefixes, input channels, and class layers of another size."""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from denseformer.checkpoints.keys import StateDict


def shared_prefixes(names: Mapping[str, Tensor]) -> Iterator[str]:
    """'' and every longer dotted beginning that all of `names` share, as 'model.' and 'model.net_g.'."""
    yield ''
    prefix = ''
    while names:
        first = next(iter(names))[len(prefix) :]
        part, dot, _ = first.partition('.')
        if not dot or not all(name.startswith(f'{prefix}{part}.') for name in names):
            return
        prefix += f'{part}.'
        yield prefix


def without_prefix(weights: StateDict, model: nn.Module) -> tuple[StateDict, str]:
    """The weights under the names that fit `model` best, and the prefix that was removed for it, '' for none.

    A prefix that all names share is removed; for a model that is part of the one in the file, the part's prefix.
    """
    if len(model.state_dict()) == matches(model, weights):
        return weights, ''
    prefixes = [*shared_prefixes(weights)]
    prefixes += [f'{prefix}{part}.' for prefix in prefixes for part in ('backbone', 'network', 'generator')]
    choices = [
        (prefix, {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)}) for prefix in prefixes
    ]
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

    A first convolution on RGB serves another number of input channels; layers of a head that have another number of
    outputs, those of other classes, are left out. What does not fit otherwise is handed back as it is.
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
        elif value.ndim == len(shape) and value.shape[1:] == shape[1:] and 'head' in key:
            del weights[key]
            notes.append(f'{key}: left out, it has {value.shape[0]} outputs instead of {shape[0]}')
    return weights, notes
