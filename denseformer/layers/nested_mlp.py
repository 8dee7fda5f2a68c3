"""MatFormer's nested MLP: "MatFormer: Nested Transformer for Elastic Inference", https://arxiv.org/abs/2310.07707.

Official code: https://github.com/RAIVNLab/MatFormer-OLMo (Apache-2.0).
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.layers.mlp import Mlp

FACTORS = (1, 2, 4, 8)
"""Factors that divide the hidden layer of the published networks."""


class NestedMlp(Mlp):
    """An MLP whose first hidden units are smaller MLPs of their own: (..., C) -> the same.

    With `factor` = f it computes with the first 1 / f of the hidden units alone; the weights of the others are not
    read. All factors share the weights, and f may differ from layer to layer: set it by `set_factors`.
    """

    def __init__(self, dim: int, hidden: int):
        super().__init__(dim, hidden)
        if hidden % FACTORS[-1]:
            raise ValueError(f'The hidden width must be a multiple of {FACTORS[-1]}, got {hidden}.')
        self.factor = 1

    def forward(self, x: Tensor) -> Tensor:
        if self.factor == 1:
            return super().forward(x)
        units = self.fc1.out_features // self.factor
        hidden = self.act(F.linear(x, self.fc1.weight[:units], self.fc1.bias[:units]))
        return F.linear(hidden, self.fc2.weight[:, :units], self.fc2.bias)


def set_factors(network: nn.Module, factors: int | Sequence[int]) -> None:
    """Set the factor of every `NestedMlp` in a network: one for all, or one for each, in the order of the layers.

    Raises ValueError for a network without any, another number of them, or a factor that is not one of `FACTORS`.
    """
    layers = [module for module in network.modules() if isinstance(module, NestedMlp)]
    chosen = [factors] * len(layers) if isinstance(factors, int) else list(factors)
    if not layers or len(chosen) != len(layers) or not set(chosen) <= set(FACTORS):
        raise ValueError(f'{len(layers)} nested MLPs take as many factors out of {FACTORS}, got {factors}.')
    for layer, factor in zip(layers, chosen, strict=True):
        layer.factor = factor
