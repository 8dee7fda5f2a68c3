"""A network from its weights alone: the family and its options are read from the names and shapes of the tensors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from denseformer.checkpoints.files import read_checkpoint, refuse_nan, weights_of
from denseformer.checkpoints.fitting import places
from denseformer.checkpoints.keys import StateDict
from denseformer.restoration.networks import RestorationNetwork


def from_checkpoint(path: str | Path) -> RestorationNetwork:
    """Build the network whose weights a .pth or .safetensors file holds, in evaluation mode.

    The file is read without executing anything from it; the network found is logged. Raises ValueError, naming
    the file, for one that cannot be read so, for weights of no known family, and for weights that do not fit the
    network they seem to belong to.
    """
    return network_of(read_checkpoint(path), path)


def network_of(content: Mapping[str, Any], path: str | Path) -> RestorationNetwork:
    """The network whose weights the content of the file at `path` holds, as `from_checkpoint` gives it."""
    state_dict, cls, options = recognize(weights_in(content, path), path)
    network = cls(**options)
    try:
        network.load_state_dict(state_dict)
    except RuntimeError as error:
        raise ValueError(f'{path} looks like {cls.__name__} with {options}, but does not fit it: {error}') from None
    parameters = sum(parameter.numel() for parameter in network.parameters())
    found = ', '.join(f'{name}={value!r}' for name, value in options.items())
    print_log(f'{path}: {cls.__name__}({found}), {parameters / 1e6:.2f} M parameters', logger='current')
    return network.eval()


def weights_in(content: Mapping[str, Any], path: str | Path) -> StateDict:
    """The tensors of a file's content by name, unwrapped from what training code, ours included, nests them in."""
    try:
        weights = weights_of(content)
        own = {key.removeprefix('network.'): value for key, value in weights.items() if key.startswith('network.')}
        taken = {key.removeprefix('module.'): value for key, value in own.items()} or weights
        refuse_nan(taken)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None
    return taken


def recognize(state_dict: StateDict, path: str | Path) -> tuple[StateDict, type[RestorationNetwork], dict[str, Any]]:
    """The family, and the options of its constructor, that a state dict from the file `path` belongs to.

    Returns the state dict, too: without a wrapper's beginning, such as '_orig_mod.', where it had one.
    """
    for prefix, weights in places(state_dict):
        for cls in RestorationNetwork.families():
            options = options_of(cls, weights)
            if options is not None:
                if prefix:
                    print_log(f"{path}: its tensors are taken without their prefix '{prefix}'", logger='current')
                return weights, cls, options
    known = ', '.join(cls.__name__ for cls in RestorationNetwork.families())
    first = ', '.join(list(state_dict)[:5])
    raise ValueError(f'{path} holds weights of no known restoration network ({known}). Its first keys: {first}.')


def options_of(cls: type[RestorationNetwork], weights: StateDict) -> dict[str, Any] | None:
    """The options of a network of the family with these weights; None where they are of another one."""
    try:
        return cls.infer_options(weights)
    except (LookupError, TypeError, ValueError, ArithmeticError):  # names like the family's, the rest is not there
        return None
