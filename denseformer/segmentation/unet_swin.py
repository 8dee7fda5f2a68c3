"""Swin Transformer as U-shaped networks have it: maps without norms, and classification's windows.

The published weights of these networks were trained with windows that stay unshifted on maps that fit into one, as in
the authors' classification code.

Legend: B batch, H W map, C channels, n windows of all maps together, N tokens of a window, h heads.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor

from denseformer.attention.shifted import gather_windows, plan_windows, scatter_windows, segment_bias
from denseformer.backbones.windows.swin import Swin, SwinBase
from denseformer.layers import PreNormBlock, ShiftedWindowAttention
from denseformer.registry import MODELS


def attend(attn: ShiftedWindowAttention, x: Tensor, added: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Do as `attn` does, and tell the weights of its attention, (n, h, N, N), to which others may be `added`.

    Shape: (B, H, W, C) -> the same. Raises ValueError for added weights of other windows or heads.
    """
    B, H, W, _ = x.shape
    plan = plan_windows(B, (H, W), attn.window, attn.shift_of((H, W)), x.device)
    qkv = attn.qkv(gather_windows(x, plan, attn.window[0] * attn.window[1]))  # (n, N, 3C)
    q, k, v = qkv.unflatten(2, (3, attn.heads, -1)).permute(2, 0, 3, 1, 4)  # each (n, h, N, d)
    logits = q * q.shape[-1] ** -0.5 @ k.mT
    bias = None if attn.bias is None else attn.bias(qkv.dtype)
    sizes = [size for size, _ in plan.segments]
    biases = [segment_bias(bias, mask, qkv.dtype) for _, mask in plan.segments]
    logits = [part if own is None else part + own for part, own in zip(logits.split(sizes), biases, strict=True)]
    weights = torch.cat(logits).softmax(-1)
    if added is not None and added.shape != weights.shape:
        raise ValueError(
            f'Weights {tuple(added.shape)} of windows, heads and tokens do not fit {tuple(weights.shape)}: '
            'the encoder needs the window and the heads of the decoder.'
        )
    mixed = (weights if added is None else weights + added) @ v
    return attn.proj(scatter_windows(mixed.transpose(1, 2).flatten(2), plan, B, (H, W))), weights


def run_openly(block: PreNormBlock, x: Tensor, added: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The block's output, and the weights of its attention, to which others may be added, as in `attend`."""
    attended, weights = attend(block.attn, block.norm1(x), added)
    x = x + block.drop_path(attended)
    return x + block.drop_path(block.mlp(block.norm2(x))), weights


Weights = dict[int, Tensor]
"""Weights of attention of a stage: 0, of the last block of unshifted windows; 1, of the last one of shifted windows."""


class OpenMaps(tuple[Tensor, ...]):
    """The maps of an encoder, and beside them the weights of attention of each stage."""

    weights: list[Weights]

    def __new__(cls, maps: Iterable[Tensor], weights: list[Weights]) -> 'OpenMaps':
        self = super().__new__(cls, maps)
        self.weights = weights
        return self


class Encoder(SwinBase):
    """Swin's stages, no norm behind them."""

    archs, source = Swin.archs, Swin.source
    shift_small_maps = False
    registered_name = Swin.registered_name  # in the catalog of weights

    def __init__(
        self, *, window_size: int, drop_path_rate: float, stage_inputs: bool, show_attention: bool, **common: Any
    ):
        super().__init__(**common)
        self.window_size, self.stage_inputs, self.show_attention = window_size, stage_inputs, show_attention
        self.build(drop_path_rate, None)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        if not self.stage_inputs:
            return super().forward(image)
        x, maps, shown = self.patch_embed(image), [], []
        for stage in self.stages:
            x = stage.downsample(x)
            maps.append(x)
            weights: Weights = {}
            for i, block in enumerate(stage.blocks):
                if self.show_attention:
                    x, weights[i % 2] = stage.run(run_openly, block, x)
                else:
                    x = stage.run(block, x)
            shown.append(weights)
        outs = (x.permute(0, 3, 1, 2) for x in (*maps[:-1], x))
        return OpenMaps(outs, shown) if self.show_attention else tuple(outs)


@MODELS.register_module()
class UNetSwin(BaseModule):
    """Four maps at strides 4 to 32, as they leave the stages.

    Args:
        arch: of `Swin`, a name or a dict of the fields of its arch record.
        window_size: side of a window in tokens.
        drop_path_rate: stochastic depth of the last block.
        stage_inputs: whether the finer maps are those that their stages begin with, as U-shaped networks with
            transformers for decoders have it.
        show_attention: whether the maps come as `OpenMaps`, for `AttSwinUNetHead(spatial_attention=True)`; with
            stage_inputs alone.
        pretrained: the published weights of `Swin` that training starts from, as in `Backbone`.
        init_cfg: mmengine's.

    Raises ValueError for show_attention without stage_inputs.
    """

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        window_size: int = 7,
        drop_path_rate: float = 0.2,
        stage_inputs: bool = False,
        show_attention: bool = False,
        pretrained: str | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        if show_attention and not stage_inputs:
            raise ValueError('show_attention=True is for decoders of transformers: set stage_inputs=True, too.')
        self.swin = Encoder(
            arch=arch,
            window_size=window_size,
            drop_path_rate=drop_path_rate,
            stage_inputs=stage_inputs,
            show_attention=show_attention,
            pretrained=pretrained,
        )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """image: (B, 3, H, W), normalised -> four (B, C_i, H_i, W_i)."""
        return self.swin(image)
