"""MoH: attention in which every token chooses the heads that speak to it, in TransNeXt's place.

Paper: "MoH: Multi-Head Attention as Mixture-of-Head Attention", https://arxiv.org/abs/2410.11842.
Official code: https://github.com/SkyworkAI/MoH (Apache-2.0), for classification only.

A token weighs what each head found before the heads are joined. Some heads are shared: all tokens hear them, each with
a weight of its own. Of the others a token hears the few it rates highest. All heads are computed; what is gained is
accuracy, not time. All else is TransNeXt's.

In training a loss keeps the choices spread over the heads, for which see `MoH.auxiliary_losses`. It and the gates are
those of the authors' code, which has factors that the paper does not: the number of shared heads, of chosen heads, 2,
and the square of the number of heads to choose from.

The authors' networks take images of one size. Here the position biases are made for each image's own unless told
otherwise.

Legend: B batch, H W map, C channels, h heads, E heads to choose from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from denseformer.backbones.base import BackboneOptions, StageWithLosses
from denseformer.backbones.global_attention import transnext
from denseformer.backbones.global_attention.transnext import PRETRAINED_SIZE, ConvGLU, TransNeXt, norm
from denseformer.checkpoints.keys import StateDict, rename
from denseformer.layers import Linear, PreNormBlock
from denseformer.network import Source
from denseformer.registry import MODELS


class HeadRouter(nn.Module):
    """How much each head counts for each token: (B, H, W, C) -> gates (B, H, W, h) and the balance loss.

    shared: how many heads, the first, are heard by all tokens; chosen: how many of the others a token hears. Without
    any to choose there is no loss, None.
    """

    def __init__(self, dim: int, heads: int, *, shared: int, chosen: int):
        super().__init__()
        self.shared, self.chosen = shared, chosen
        self.share = Linear(dim, shared, bias=False) if shared > 1 else None
        self.choose = Linear(dim, heads - shared, bias=False) if chosen else None
        self.divide = Linear(dim, 2, bias=False) if chosen else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        shared = x.new_ones(*x.shape[:-1], 1) if self.share is None else self.share(x).softmax(-1) * self.shared
        if self.choose is None or self.divide is None:
            return shared, None
        probabilities = self.choose(x).softmax(-1)  # (B, H, W, E)
        best = probabilities.topk(self.chosen, dim=-1).indices
        chosen = torch.zeros_like(probabilities).scatter(-1, best, 1.0)
        routed = probabilities * chosen
        routed = routed / routed.sum(-1, keepdim=True) * self.chosen
        to_shared, to_routed = (self.divide(x).softmax(-1) * 2).split(1, -1)
        gates = torch.cat([shared * to_shared, routed * to_routed], -1)
        return gates, balance_loss(probabilities, chosen)


def balance_loss(probabilities: Tensor, chosen: Tensor) -> Tensor:
    """E^2 times the mean over heads of how probable a head is times how often it is chosen: least if all are alike.

    probabilities, chosen (0 or 1): (..., E) -> a scalar; as many as are chosen of each when balanced.
    """
    heads = chosen.shape[-1]
    probability, frequency = (x.flatten(0, -2).mean(0) for x in (probabilities, chosen))
    return (probability * frequency).mean() * heads**2


class RoutedBlock(PreNormBlock):
    """A block whose tokens choose their heads: (B, H, W, C) -> the same, and the balance loss."""

    def __init__(self, dim: int, attn: nn.Module, mlp: nn.Module, router: HeadRouter, drop_path: float):
        super().__init__(dim, attn, mlp, norm=norm, drop_path=drop_path)
        self.router = router

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        normed = self.norm1(x)
        gates, loss = self.router(normed)
        x = x + self.drop_path(self.attn(normed, gates))
        return x + self.drop_path(self.mlp(self.norm2(x))), loss


@dataclass(frozen=True, kw_only=True)
class Arch(transnext.Arch):
    """shared, chosen: per stage, the heads that all tokens hear, and how many of the others a token does."""

    shared: tuple[int, ...]
    chosen: tuple[int, ...]


@MODELS.register_module()
class MoH(TransNeXt):
    """TransNeXt with a mixture of heads.

    Args:
        balance_weight: what `auxiliary_losses` multiplies the mean balance loss by.
        The others are described in `TransNeXt`.
    """

    source = Source(
        paper='MoH: Multi-Head Attention as Mixture-of-Head Attention, https://arxiv.org/abs/2410.11842',
        code='https://github.com/SkyworkAI/MoH',
        license='Apache-2.0',
    )
    stage_class = StageWithLosses

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'small_80',
        image_size: int = PRETRAINED_SIZE,
        extrapolate: bool = True,
        balance_weight: float = 0.01,
        drop_path_rate: float = 0.0,
        **common: Unpack[BackboneOptions],
    ):
        super().__init__(
            arch=arch, image_size=image_size, extrapolate=extrapolate, drop_path_rate=drop_path_rate, **common
        )
        self.balance_weight = balance_weight

    def make_block(self, i: int, drop_path: float) -> RoutedBlock:
        dim = self.arch.widths[i]
        attn = self.make_attention(i)
        router = HeadRouter(dim, attn.heads, shared=self.arch.shared[i], chosen=self.arch.chosen[i])
        return RoutedBlock(dim, attn, ConvGLU(dim, self.arch.mlp_ratios[i]), router, drop_path)

    def auxiliary_losses(self) -> dict[str, Tensor]:
        """The weighted mean balance loss of the last training forward pass, once: it is forgotten when read.

        `AuxiliaryLossHook` calls this after each forward pass and adds what it returns to the losses of the model that
        the backbone is part of; a training loop without mmengine does the same. Empty where no heads are chosen.
        """
        losses = [loss for stage in self.stages for loss in stage.collect()]
        return {'loss_balance': self.balance_weight * torch.stack(losses).mean()} if losses else {}

    @staticmethod
    def remap_official_keys(state_dict: StateDict, network: 'MoH') -> StateDict:
        """From TransNeXt's names."""
        return rename(
            TransNeXt.remap_official_keys(state_dict, network),
            (r'\.attn\.wg\.', '.router.choose.'),
            (r'\.attn\.wg_0\.', '.router.divide.'),
            (r'\.attn\.wg_1\.', '.router.share.'),
        )


SMALL, BASE = (5, 5, 22, 5), (5, 5, 23, 5)

MoH.archs = {
    'small_80': Arch(width=72, depths=SMALL, shared=(3, 6, 3, 8), chosen=(0, 0, 6, 12)),
    'small_75': Arch(width=72, depths=SMALL, shared=(3, 6, 3, 4), chosen=(0, 0, 6, 12)),
    'base_75': Arch(width=96, depths=BASE, shared=(4, 8, 4, 5), chosen=(0, 0, 8, 16)),
    'base_50': Arch(width=96, depths=BASE, shared=(2, 2, 2, 4), chosen=(2, 4, 6, 8)),
}
