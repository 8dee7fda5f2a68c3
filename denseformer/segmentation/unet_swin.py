"""Swin Transformer as U-shaped networks have it: maps without norms, and classification's windows.

The published weights of these networks were trained with windows that stay unshifted on maps that fit into one, as in
the authors' classification code.
"""

from collections.abc import Mapping
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor

from denseformer.backbones.windows.swin import Swin, SwinBase
from denseformer.registry import MODELS


class Encoder(SwinBase):
    """Swin's stages, no norm behind them."""

    archs, source = Swin.archs, Swin.source
    shift_small_maps = False
    registered_name = Swin.registered_name  # in the catalog of weights

    def __init__(self, *, window_size: int, drop_path_rate: float, stage_inputs: bool, **common: Any):
        super().__init__(**common)
        self.window_size, self.stage_inputs = window_size, stage_inputs
        self.build(drop_path_rate, None)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        if not self.stage_inputs:
            return super().forward(image)
        x, maps = self.patch_embed(image), []
        for stage in self.stages:
            x = stage.downsample(x)
            maps.append(x)
            for block in stage.blocks:
                x = stage.run(block, x)
        return tuple(x.permute(0, 3, 1, 2) for x in (*maps[:-1], x))


@MODELS.register_module()
class UNetSwin(BaseModule):
    """Four maps at strides 4 to 32, as they leave the stages.

    Args:
        arch: of `Swin`, a name or a dict of the fields of its arch record.
        window_size: side of a window in tokens.
        drop_path_rate: stochastic depth of the last block.
        stage_inputs: whether the finer maps are those that their stages begin with, as U-shaped networks with
            transformers for decoders have it.
        pretrained: the published weights of `Swin` that training starts from, as in `Backbone`.
        init_cfg: mmengine's.
    """

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'tiny',
        window_size: int = 7,
        drop_path_rate: float = 0.2,
        stage_inputs: bool = False,
        pretrained: str | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        self.swin = Encoder(
            arch=arch,
            window_size=window_size,
            drop_path_rate=drop_path_rate,
            stage_inputs=stage_inputs,
            pretrained=pretrained,
        )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """image: (B, 3, H, W), normalised -> four (B, C_i, H_i, W_i)."""
        return self.swin(image)
