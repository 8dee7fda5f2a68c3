"""SimMIM: a backbone learns to paint in the hidden cells of an image.

Paper: "SimMIM: A Simple Framework for Masked Image Modeling", https://arxiv.org/abs/2111.09886.
Official code: https://github.com/microsoft/SimMIM (MIT).

A learned token takes the place of the embeddings of hidden patches, and one 1 x 1 convolution of the last map predicts
the pixels. It fits pyramids and plain backbones alike; where the module that embeds patches adds positions, hidden ones
carry none.

Legend: B batch, C channels, H W image, h w a map.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from denseformer.backbones.plain.base import PlainBackbone
from denseformer.checkpoints.keys import RenamesKeys, StateDict, rename
from denseformer.layers.initializers import INIT_STD
from denseformer.pretraining.hidden import last_map_backbone, map_without, token_sizes
from denseformer.registry import MODELS

TINY = 1e-5


@MODELS.register_module()
class SimMIM(RenamesKeys, BaseModel):
    """A backbone, a token for hidden patches, and a decoder of one layer.

    Args:
        backbone: config of a backbone; its last map alone is built.
        cell: side of the square cells that are hidden, in pixels: a multiple of the side of embedded patches.
        share: of the cells of an image that are hidden, rounded up.
        data_preprocessor, init_cfg: mmengine's.

    Labels of the images are not read. `loss` is the mean absolute error of the hidden pixels, which are normalised as
    the backbone takes them. Raises ValueError for what is no backbone of this project, for CrossViT, and for cells of
    parts of patches.
    """

    def __init__(
        self,
        *,
        backbone: Mapping[str, Any],
        cell: int = 32,
        share: float = 0.6,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor, init_cfg)
        self.backbone, self.last_stage = last_map_backbone(backbone, 'SimMIM')
        width, self.side = token_sizes(self.backbone)
        if cell % self.side:
            raise ValueError(
                f'SimMIM hides whole patches: cell must be a multiple of their {self.side} pixels, such as '
                f'{2 * self.side}, got {cell}.'
            )
        self.cell = cell
        self.share = share
        channels, stride = self.backbone.in_channels, self.backbone.out_strides[-1]
        self.mask_token = nn.Parameter(INIT_STD * torch.randn(1, 1, width))
        self.decoder = nn.Sequential(
            nn.Conv2d(self.backbone.out_channels[-1], stride**2 * channels, 1), nn.PixelShuffle(stride)
        )

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor') -> Any:
        """inputs: (B, C, H, W), normalised -> {'loss': ...} in mode 'loss', else the image as it is painted in."""
        hidden = self.draw(inputs)
        painted = self.reconstruct(inputs, hidden)[1]
        return {'loss': self.loss(inputs, painted, hidden)} if mode == 'loss' else painted

    def draw(self, image: Tensor) -> Tensor:
        """(B, H, W): 1 in the hidden cells, drawn for each image."""
        B, _, H, W = image.shape
        rows, columns = math.ceil(H / self.cell), math.ceil(W / self.cell)
        count = math.ceil(self.share * rows * columns)
        order = torch.rand(B, rows * columns, device=image.device).argsort(1)
        return self.spread((order < count).view(B, rows, columns))[:, :H, :W].to(image.dtype)

    def spread(self, cells: Tensor) -> Tensor:
        """Cells (B, rows, columns) as pixels."""
        return cells.repeat_interleave(self.cell, 1).repeat_interleave(self.cell, 2)

    def reconstruct(self, image: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The backbone's last map (B, C, h, w) and the painted image, for hidden pixels (B, H, W)."""
        out = map_without(self.backbone, image, hidden, self.mask_token, self.side)
        return out, self.decoder(out)

    def loss(self, image: Tensor, painted: Tensor, hidden: Tensor) -> Tensor:
        """The mean absolute error of the hidden pixels; what a map leaves out or pads at the borders does not count."""
        H, W = min(image.shape[2], painted.shape[2]), min(image.shape[3], painted.shape[3])
        error = (image[..., :H, :W] - painted[..., :H, :W]).abs() * hidden[:, None, :H, :W]
        return error.sum() / (hidden[:, :H, :W].sum() + TINY) / image.shape[1]

    def own_names(self, state_dict: StateDict) -> StateDict:
        """From the authors' names, whose last norm is a classifier's."""
        norm = 'backbone.norm.' if isinstance(self.backbone, PlainBackbone) else f'backbone.norm{self.last_stage}.'
        return rename(
            state_dict,
            (r'^encoder\.mask_token$', 'mask_token'),
            (r'^encoder\.norm\.', norm),
            (r'^encoder\.', 'backbone.'),
        )
