"""The block that nearly all transformers are made of."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from denseformer.layers.drop_path import DropPath
from denseformer.layers.layer_scale import apply_layer_scale, make_layer_scale


class PreNormBlock(nn.Module):
    """Token mixer and MLP, each pre-normalised and residual: (B, H, W, C) -> the same.

    norm: makes the two normalisations, `mlp_norm` the second if it is of another kind; layer_scale: where the gains on
    both branches start, None for no gains; pos_embed: a position encoding added to the input; channel_first:
    maps are (B, C, H, W). What `forward` is given besides the map goes to the token mixer.
    """

    def __init__(
        self,
        dim: int,
        attn: nn.Module,
        mlp: nn.Module,
        *,
        drop_path: float,
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
        mlp_norm: Callable[[int], nn.Module] | None = None,
        layer_scale: float | None = None,
        pos_embed: nn.Module | None = None,
        channel_first: bool = False,
    ):
        super().__init__()
        self.pos_embed = pos_embed
        self.norm1 = norm(dim)
        self.attn = attn
        self.norm2 = (mlp_norm or norm)(dim)
        self.mlp = mlp
        self.drop_path = DropPath(drop_path)
        self.gamma1 = make_layer_scale(dim, layer_scale, channel_first=channel_first)
        self.gamma2 = make_layer_scale(dim, layer_scale, channel_first=channel_first)

    def encode_position(self, x: Tensor) -> Tensor:
        return x if self.pos_embed is None else x + self.pos_embed(x)

    def forward(self, x: Tensor, *context: Any) -> Tensor:
        x = self.encode_position(x)
        x = x + apply_layer_scale(self.drop_path(self.attn(self.norm1(x), *context)), self.gamma1)
        return x + apply_layer_scale(self.drop_path(self.mlp(self.norm2(x))), self.gamma2)


class PostNormBlock(PreNormBlock):
    """A block whose normalisations stand behind token mixer and MLP, as in Swin V2."""

    def forward(self, x: Tensor, *context: Any) -> Tensor:
        x = self.encode_position(x)
        x = x + apply_layer_scale(self.drop_path(self.norm1(self.attn(x, *context))), self.gamma1)
        return x + apply_layer_scale(self.drop_path(self.norm2(self.mlp(x))), self.gamma2)
