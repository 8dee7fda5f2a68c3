"""Initial weights, drawn as the authors' training code draws them.

A rule is a function of one module, for `nn.Module.apply`; a backbone names its family's. What a rule does not mention
stays as its constructor left it: position tables, layer scales, norms, PyTorch's own convolutions.

The authors cut their normal distributions at -2 and 2, a hundred deviations away; here nothing is cut, which draws the
same numbers in a fraction of the time.
"""

import math

from torch import nn

from denseformer.layers.linear import Pointwise

INIT_STD = 0.02


def linears(module: nn.Module) -> None:
    """Linear layers narrow, the rule of ViT and Swin; convolutions are PyTorch's."""
    if isinstance(module, nn.Linear) and not isinstance(module, Pointwise):
        draw(module, INIT_STD)


def fan_out(module: nn.Module) -> None:
    """Linear layers narrow, and convolutions by how many weights each input meets: the rule of PVT v2."""
    if isinstance(module, nn.Conv2d):
        draw(module, math.sqrt(2 / (math.prod(module.kernel_size) * module.out_channels // module.groups)))
    elif isinstance(module, Pointwise):
        draw(module, math.sqrt(2 / module.out_features))
    else:
        linears(module)


def narrow(module: nn.Module) -> None:
    """Linear layers and convolutions alike, the rule of ConvNeXt."""
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        draw(module, INIT_STD)


def pytorch(module: nn.Module) -> None:
    """Nothing: every layer starts as PyTorch has it."""


def draw(layer: nn.Linear | nn.Conv2d, std: float) -> None:
    """Normal weights of deviation `std`, and a bias of zeros."""
    nn.init.normal_(layer.weight, std=std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
