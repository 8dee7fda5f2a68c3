"""SAM as its authors use it: masks of whatever points, boxes and masks point at.

Paper: "Segment Anything", https://arxiv.org/abs/2304.02643; official code:
https://github.com/facebookresearch/segment-anything (Apache-2.0, code and weights).
"""

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from denseformer.backbones.plain.sam import SAM
from denseformer.checkpoints.keys import RenamesKeys, StateDict, drop, rename
from denseformer.detection.sam.decoder import MaskDecoder, PromptEncoder
from denseformer.detection.sam.keys import remap_decoder_keys
from denseformer.registry import MODELS


@MODELS.register_module()
class PromptableSAM(RenamesKeys, BaseModule):
    """Encoder, prompts and decoder; loads the authors' files.

    Args:
        arch, image_size: of the encoder, as `SAM` takes them.
        init_cfg: mmengine's.

    An image is embedded once, by `encoder(image)[-1]` or `embed`, and then asked as often as one likes.
    """

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'base',
        image_size: int | tuple[int, int] | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        self.encoder = SAM(arch=arch, image_size=image_size, neck=True)
        width = self.encoder.arch.neck_width
        self.prompts = PromptEncoder(width)
        self.decoder = MaskDecoder(width)

    def embed(self, image: Tensor) -> Tensor:
        """An image (1, 3, h, w), normalised, to its embedding (1, C, h / 16, w / 16); sides are multiples of 16."""
        return self.encoder(image)[-1]

    def forward(
        self,
        embedding: Tensor,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        *,
        several: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Masks (B, K, h, w) before the sigmoid, at the size of the image, and their expected overlap (B, K).

        The B prompts are those of `PromptEncoder`, in pixels of the image that was embedded. several: the three masks
        that a doubtful prompt may mean, in place of one.
        """
        H, W = embedding.shape[2:]
        stride = self.encoder.patch_size
        size = (H * stride, W * stride)
        tokens, dense = self.prompts(size, points, labels, boxes, masks)
        position = self.prompts.positions.of_map(H, W)
        found, overlaps = self.decoder(
            embedding.expand(len(tokens), -1, -1, -1), position, tokens, dense, several=several
        )
        return F.interpolate(found, size, mode='bilinear', align_corners=False), overlaps

    def own_names(self, state_dict: StateDict) -> StateDict:
        """From the names of the authors' files."""
        own = rename(
            drop(state_dict, r'^(pixel_mean|pixel_std)$'),
            (r'^image_encoder\.', 'encoder.'),
            (r'^mask_decoder\.', 'decoder.'),
            (r'^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$', 'prompts.positions.directions'),
            (r'^prompt_encoder\.', 'prompts.'),
        )
        return remap_decoder_keys(own)
