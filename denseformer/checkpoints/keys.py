"""State-dict keys: from the authors' names to ours."""

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

StateDict = dict[str, Tensor]
Rule = tuple[str, str | Callable[[re.Match], str]]
CONV_NORM: tuple[Rule, ...] = ((r'\.c\.(weight|bias)$', r'.conv.\1'), (r'\.bn\.', '.norm.'))
"""Rules from LeViT's names of a convolution and its BatchNorm, which many networks took over, to `ConvNorm`'s."""


def rename(state_dict: StateDict, *rules: Rule) -> StateDict:
    """Apply to every key the (pattern, replacement) rules of `re.sub`, each to what the one before it left."""
    renamed = {}
    for key, value in state_dict.items():
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value
    return renamed


class RenamesKeys:
    """Mixed in before a module: what is loaded passes through `names`."""

    names: ClassVar[tuple[Rule, ...]] = ()
    """Rules from the authors' names below the module to ours, which they leave as they are."""

    def own_names(self, state_dict: StateDict) -> StateDict:
        """`state_dict`, under the authors' names or ours, under ours; pure."""
        return rename(state_dict, *self.names)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        own = {key[len(prefix) :]: state_dict.pop(key) for key in list(state_dict) if key.startswith(prefix)}
        state_dict.update({prefix + key: value for key, value in self.own_names(own).items()})
        super()._load_from_state_dict(state_dict, prefix, *args)  # type: ignore[misc]


def kernel_from_jax(kernel: Tensor) -> Tensor:
    """A kernel of JAX, (in, out) or (k, k, in, out), as a weight of PyTorch, (out, in) or (out, in, k, k)."""
    return kernel.T if kernel.ndim == 2 else kernel.permute(3, 2, 0, 1)


def stages_from(prefix: str) -> tuple[Rule, Rule]:
    """Rules from `prefix`.i, whose downsampling closes the stage, to `stages`.i, whose downsampling opens it."""
    return (
        (rf'^{prefix}\.(\d+)\.downsample\.', lambda match: f'stages.{int(match[1]) + 1}.downsample.'),
        (rf'^{prefix}\.(\d+)\.', r'stages.\1.'),
    )


def stages_from_numbers(block: str = 'block') -> tuple[Rule, ...]:
    """Rules from PVT's names, `patch_embed`n, `block`n (or as `block` says) and `norm`n with n = 1 .. 4, to ours."""

    def part(name: str) -> Callable[[re.Match], str]:
        return lambda match: f'stages.{int(match[1]) - 1}.{name}.'

    return (
        (r'^patch_embed1\.', 'patch_embed.'),
        (r'^patch_embed(\d)\.', part('downsample')),
        (rf'^{block}(\d)\.', part('blocks')),
        (r'^norm(\d)\.', lambda match: f'out_norms.{int(match[1]) - 1}.'),
    )


def drop(state_dict: StateDict, *patterns: str) -> StateDict:
    """`state_dict` without the keys that match one of `patterns` (`re.search`): constants, or a classifier's."""
    compiled = [re.compile(pattern) for pattern in patterns]
    return {key: value for key, value in state_dict.items() if not any(pattern.search(key) for pattern in compiled)}


def strip_classifier(
    state_dict: StateDict, *, official: str, classifier: tuple[str, ...] = (r'^norm\.', r'^head\.')
) -> StateDict:
    """Drop the `classifier` keys of a dict in the authors' layout, which is one with a key matching `official`."""
    if any(re.search(official, key) for key in state_dict):
        return drop(state_dict, *classifier)
    return state_dict


def count(state_dict: StateDict, pattern: str) -> int:
    """One more than the largest number that the group of `pattern` (`re.match`) captures in a key; 0 without any."""
    matches = (re.match(pattern, key) for key in state_dict)
    return max((int(match[1]) + 1 for match in matches if match), default=0)


def as_channel_first_gains(state_dict: StateDict) -> StateDict:
    """Layer-scale gains (`gamma1`, `gamma2`) of (C,) as the (C, 1, 1) that channel-first maps take."""
    gains = {key: value.view(-1, 1, 1) for key, value in state_dict.items() if key.endswith(('.gamma1', '.gamma2'))}
    return {**state_dict, **gains}


def linear_from_pointwise(state_dict: StateDict, pattern: str = '') -> StateDict:
    """Weights of 1 x 1 convolutions, (O, C, 1, 1), whose keys match `pattern` (`re.search`), as linear layers', (O, C).

    Depth-wise ones, (C, 1, 1, 1), stay convolutions.
    """
    return {
        key: value.flatten(1)
        if value.ndim == 4 and value.shape[1] > 1 and value.shape[2:] == (1, 1) and re.search(pattern, key)
        else value
        for key, value in state_dict.items()
    }


def linear_mlps_from_pointwise(state_dict: StateDict) -> StateDict:
    """Make linear layers of the two 1 x 1 convolutions of each block's MLP."""
    return linear_from_pointwise(state_dict, r'\.mlp\.fc[12]\.weight$')


def join(state_dict: StateDict, parts: Sequence[str], whole: str) -> StateDict:
    """Layers `parts` that stand side by side as the one layer `whole`, their outputs one after the other."""
    joined = dict(state_dict)
    for key in state_dict:
        keys = [key.replace(f'.{parts[0]}.', f'.{part}.') for part in parts]
        if f'.{parts[0]}.' in key and all(part in joined for part in keys):
            whole_key = key.replace(f'.{parts[0]}.', f'.{whole}.')
            joined[whole_key] = torch.cat([joined.pop(part) for part in keys])
    return joined
