"""Low-rank updates of layers whose own weights are frozen.

LoRA: Low-Rank Adaptation of Large Language Models, https://arxiv.org/abs/2106.09685.

A layer with an update has the parametrized weight W + alpha / rank * up @ down, so whatever reads its weight, a kernel
or a fused block, reads the updated one. State dicts hold that one under the layer's plain name, and the factors beside
it as `lora_down` and `lora_up`: a network without updates takes the weight and leaves the factors, one with updates
takes both and goes on training.

Legend: K outputs, C inputs, k kernel size, r rank.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

FACTORS = ('down', 'up')


class LowRankUpdate(nn.Module):
    """W + alpha / rank * up @ down of a weight (K, C) or (K, C, k, k), which is W itself at first."""

    def __init__(self, weight: Tensor, rank: int, alpha: float):
        super().__init__()
        self.scale = alpha / rank
        self.down = nn.Parameter(weight.new_empty(rank, weight[0].numel()))
        self.up = nn.Parameter(weight.new_zeros(len(weight), rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.product(self.up, self.down).view(weight.shape)

    def product(self, up: Tensor, down: Tensor) -> Tensor:
        """(K, r), (r, C) -> (K, C)."""
        return self.scale * (up @ down)


def add_updates(network: nn.Module, layers: str, *, rank: int = 8, alpha: float = 16.0) -> None:
    """Give the layers whose whole names match the expression `layers` updates; the other parameters stay as they are.

    Linear layers and convolutions without groups are meant. Raises ValueError where there are none.
    """
    if rank < 1:
        raise ValueError(f'lora: rank must be at least 1, got {rank}.')
    chosen = [
        module
        for name, module in network.named_modules()
        if re.fullmatch(layers, name)
        and (isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1))
    ]
    if not chosen:
        raise ValueError(
            f"{type(network).__name__} has no layer for low-rank updates: no name matches '{layers}'. State the "
            "layers in the class attribute lora_layers, or take finetune='head' or 'all'."
        )
    for layer in chosen:
        parametrize.register_parametrization(layer, 'weight', LowRankUpdate(layer.weight, rank, alpha))
        layer.register_state_dict_post_hook(_to_plain_names)
        layer.register_load_state_dict_pre_hook(_from_plain_names)


def updated_layers(network: nn.Module) -> set[str]:
    """The names of the layers that have updates."""
    return {
        name
        for name, module in network.named_modules()
        if parametrize.is_parametrized(module, 'weight')
        and isinstance(module.parametrizations['weight'][0], LowRankUpdate)
    }


def is_factor(key: str) -> bool:
    """Whether a name in a state dict is that of an update's factor."""
    return key.rpartition('.')[2] in {f'lora_{name}' for name in FACTORS}


def without_foreign_factors(state_dict: Mapping[str, Any], network: nn.Module) -> dict[str, Any]:
    """`state_dict` without the factors of layers that have no updates in `network`."""
    if not any(map(is_factor, state_dict)):
        return dict(state_dict)
    updated = updated_layers(network)
    return {k: value for k, value in state_dict.items() if not is_factor(k) or k.rpartition('.')[0] in updated}


def _to_plain_names(layer: Any, state_dict: dict[str, Any], prefix: str, metadata: Any) -> None:
    inner = f'{prefix}parametrizations.weight.'
    with torch.no_grad():
        state_dict[f'{prefix}weight'] = layer.parametrizations.weight[0](state_dict.pop(f'{inner}original'))
    for name in FACTORS:
        state_dict[f'{prefix}lora_{name}'] = state_dict.pop(f'{inner}0.{name}')


def _from_plain_names(layer: Any, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """The frozen weight is what is left of the updated one without its update; without factors they start again."""
    weight = state_dict.pop(f'{prefix}weight', None)
    if weight is None:
        return  # reported as missing
    original, update = layer.parametrizations.weight.original, layer.parametrizations.weight[0]
    factors = {name: state_dict.pop(f'{prefix}lora_{name}', None) for name in FACTORS}
    if None in factors.values():
        factors = {'down': update.down.detach().clone(), 'up': torch.zeros_like(update.up)}
    elif weight.shape == original.shape and all(factors[name].shape == getattr(update, name).shape for name in FACTORS):
        product = update.product(factors['up'].to(original.dtype), factors['down'].to(original.dtype))
        weight = weight.to(original.dtype) - product.view(weight.shape)
    inner = f'{prefix}parametrizations.weight.'
    state_dict[f'{inner}original'] = weight
    state_dict |= {f'{inner}0.{name}': value for name, value in factors.items()}
