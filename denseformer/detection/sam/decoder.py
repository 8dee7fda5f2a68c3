"""SAM's decoder: masks of an image's embedding from prompts, which are points, boxes, masks, or learned tokens.

Paper: "Segment Anything", https://arxiv.org/abs/2304.02643; official code:
https://github.com/facebookresearch/segment-anything (Apache-2.0, code and weights).

Legend: B prompts, each with P tokens, C channels, H W the embedding's map, a sixteenth of the image, K masks.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.layers import LayerNorm2d, Linear
from denseformer.layers.two_way import TwoWayTransformer

MASKS = 4
"""Masks of a prompt: one for prompts that leave no doubt, and three for a whole, a part and a part of the part."""


class FourierPositions(nn.Module):
    """Places (..., 2), x and y as shares of width and height, to (..., C): sines and cosines of random directions.

    The directions are drawn once and kept in the checkpoint.
    """

    directions: Tensor

    def __init__(self, dim: int):
        super().__init__()
        self.register_buffer('directions', torch.randn(2, dim // 2))

    def forward(self, places: Tensor) -> Tensor:
        angles = 2 * math.pi * (2 * places.to(self.directions.dtype) - 1) @ self.directions
        return torch.cat([angles.sin(), angles.cos()], -1)

    def of_map(self, height: int, width: int) -> Tensor:
        """(1, C, H, W), at the centers of a map's places."""
        rows, columns = ((torch.arange(side, device=self.directions.device) + 0.5) / side for side in (height, width))
        rows, columns = torch.meshgrid(rows, columns, indexing='ij')
        return self(torch.stack([columns, rows], -1)).permute(2, 0, 1)[None]


class ThreeLayers(nn.Module):
    """Three linear layers with ReLU between them: (..., dim) -> (..., out_dim)."""

    def __init__(self, dim: int, hidden: int, out_dim: int):
        super().__init__()
        self.layers = nn.ModuleList(Linear(a, b) for a, b in pairwise((dim, hidden, hidden, out_dim)))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class MaskDecoder(nn.Module):
    """Masks at a quarter of the image's size, and how well each is expected to overlap with the truth.

    Args:
        dim: C, of embedding and prompts; a multiple of 8.
        hidden: channels of the transformer's MLPs.
    """

    def __init__(self, dim: int = 256, hidden: int = 2048):
        super().__init__()
        self.transformer = TwoWayTransformer(dim, hidden=hidden)
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(MASKS, dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, 2, 2),
            LayerNorm2d(dim // 4, 1e-6),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(ThreeLayers(dim, dim, dim // 8) for _ in range(MASKS))
        self.iou_prediction_head = ThreeLayers(dim, 256, MASKS)

    def forward(
        self, embedding: Tensor, position: Tensor, tokens: Tensor, dense: Tensor, *, several: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Masks (B, K, 4H, 4W) before the sigmoid and their expected overlap (B, K).

        embedding: (B, C, H, W); position: (1, C, H, W); tokens: (B, P, C), of the prompts; dense: broadcastable to the
        embedding, of masks that are prompts. several: the three masks of a prompt in place of the one, K = 3.
        """
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight]).expand(len(tokens), -1, -1)
        image = (embedding + dense).flatten(2).transpose(1, 2)  # (B, H * W, C)
        places = position.flatten(2).transpose(1, 2)
        tokens, image = self.transformer(torch.cat([own, tokens], 1), image, places)
        pixels = image.transpose(1, 2).unflatten(2, embedding.shape[2:])
        pixels = self.output_upscaling(pixels)  # (B, C / 8, 4H, 4W)
        chosen = range(1, MASKS) if several else range(1)
        kernels = torch.stack([self.output_hypernetworks_mlps[i](tokens[:, 1 + i]) for i in chosen], 1)
        masks = torch.einsum('bkc,bchw->bkhw', kernels, pixels)
        return masks, self.iou_prediction_head(tokens[:, 0])[:, list(chosen)]


class PromptEncoder(nn.Module):
    """Points, boxes and masks to the prompts of `MaskDecoder`.

    Args:
        dim: C.
        mask_width: channels of a mask's map on its way.
    """

    def __init__(self, dim: int = 256, mask_width: int = 16):
        super().__init__()
        self.positions = FourierPositions(dim)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, dim)
        self.no_mask_embed = nn.Embedding(1, dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_width // 4, 2, 2),
            LayerNorm2d(mask_width // 4, 1e-6),
            nn.GELU(),
            nn.Conv2d(mask_width // 4, mask_width, 2, 2),
            LayerNorm2d(mask_width, 1e-6),
            nn.GELU(),
            nn.Conv2d(mask_width, dim, 1),
        )

    def forward(
        self,
        size: tuple[int, int],
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Tokens (B, P, C), and what a mask adds to the embedding: (B or 1, C, H or 1, W or 1).

        size: height and width of the image that the network saw, in whose pixels points (B, n, 2), x and y, and boxes
        (B, 4), left, top, right and bottom, are given. labels: (B, n), 1 for points of the object, 0 for points beside
        it. masks: (B, 1, 4H, 4W) before the sigmoid. At least one of points and boxes must be given.
        """
        shares = self.not_a_point_embed.weight.new_tensor([size[1], size[0]])
        tokens = []
        if points is not None:
            if labels is None or labels.shape != points.shape[:2]:
                raise ValueError('Points need labels, (B, n): 1 for a point of the object, 0 for one beside it.')
            kinds = torch.cat([each.weight for each in self.point_embeddings[:2]])  # beside the object, of it
            tokens.append(self.positions((points + 0.5) / shares) + kinds[labels.long()])
            if boxes is None:
                tokens.append(self.not_a_point_embed.weight.expand(len(points), 1, -1))
        if boxes is not None:
            corners = self.positions((boxes.unflatten(1, (2, 2)) + 0.5) / shares)
            tokens.append(corners + torch.cat([each.weight for each in self.point_embeddings[2:]]))
        if not tokens:
            raise ValueError('Nothing to look for: give points with labels, boxes, or both.')
        if masks is None:
            return torch.cat(tokens, 1), self.no_mask_embed.weight[:, :, None, None]
        return torch.cat(tokens, 1), self.mask_downscaling(masks)
