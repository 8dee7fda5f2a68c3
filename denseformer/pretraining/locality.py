"""Locality alignment: a trained vision transformer learns to say in each token what stands in that patch.

Paper: "Locality Alignment Improves Vision-Language Models", https://arxiv.org/abs/2410.11087.
Official code: https://github.com/iancovert/locality-alignment (MIT).

The frozen network, without its last block, looks at an image with patches blacked out. The same network, trained, looks
at the whole image; of its tokens those of the blacked out patches are deleted, and a small decoder has to tell from the
rest what the frozen one saw (MaskEmbed). A token must therefore hold what can be seen in its patch, and nothing else.

In their block-wise masks, as in the authors' code, the share is that of the patches that are kept, and the mask that
others complete to the whole image keeps nothing.

Legend: B batch, M masks of an image, H W the map in patches, C channels, P tokens in front of the patches,
N = P + H * W.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine import dist
from mmengine.model import BaseModel
from torch import Tensor, nn

from denseformer.backbones.plain.base import PlainBackbone
from denseformer.backbones.plain.embedding import PositionTable, Size
from denseformer.checkpoints.keys import RenamesKeys
from denseformer.layers import Linear
from denseformer.pretraining.hidden import TokenDecoder
from denseformer.registry import MODELS

Draw = Callable[[np.random.Generator, int, Size], np.ndarray]
SMALLEST_BLOCK = 16


def uniform(rng: np.random.Generator, count: int, size: Size) -> np.ndarray:
    """(count, H * W): True for patches that are kept, whose number is anything from none to all, each as likely."""
    values = rng.uniform(size=(count, size[0] * size[1] + 1))
    return values[:, 1:] > values[:, :1]


def bernoulli(rng: np.random.Generator, count: int, size: Size, share: float = 0.5) -> np.ndarray:
    """(count, H * W): True for a patch with the probability `share`."""
    return rng.uniform(size=(count, size[0] * size[1])) < share


def blockwise(rng: np.random.Generator, count: int, size: Size, share: float = 0.4) -> np.ndarray:
    """(count, H * W): True in rectangles that are drawn until they cover `share` of the map."""
    H, W = size
    largest = max(int(share * H * W), 2)
    masks = np.zeros((count, H, W), bool)
    for mask in masks:
        while mask.mean() < share:
            area = int(rng.integers(min(SMALLEST_BLOCK, largest - 1), largest))
            aspect = rng.uniform(0.3, 1 / 0.3)
            rows = min(max(int(math.sqrt(area / aspect)), 1), H)
            columns = min(area // rows, W)
            top, left = rng.integers(0, H - rows + 1), rng.integers(0, W - columns + 1)
            mask[top : top + rows, left : left + columns] = True
    return masks.reshape(count, -1)


def with_complements(draw: Draw, rng: np.random.Generator, images: int, size: Size) -> Tensor:
    """(images * 3, H * W): for each image a mask, 1 where a patch is kept, then its complement, then that of all ones.

    The whole image is left out (zeros) of block-wise masks.
    """
    drawn = images if draw is blockwise else images * 3  # as many as in the authors' code
    first = draw(rng, drawn, size)[:: drawn // images]
    masks = np.stack([first, ~first, np.full_like(first, draw is not blockwise)], 1)
    return torch.from_numpy(masks.reshape(images * 3, -1)).float()


DRAWS: dict[str, Draw] = {'uniform': uniform, 'bernoulli': bernoulli, 'blockwise': blockwise}


def black_out(image: Tensor, masks: Tensor, size: Size, patch: int) -> Tensor:
    """(B, 3, height, width) and (B * M, H * W) -> (B * M, 3, height, width), zero where a patch is not kept.

    What lies beyond the map's patches is zero.
    """
    pixels = masks.view(-1, 1, *size).repeat_interleave(patch, 2).repeat_interleave(patch, 3)
    height, width = image.shape[2:]
    pixels = F.pad(pixels, (0, width - pixels.shape[3], 0, height - pixels.shape[2]))
    return image.repeat_interleave(len(masks) // len(image), 0) * pixels


class MaskEmbedDecoder(RenamesKeys, TokenDecoder):
    """The tokens of an image and masks to what the frozen network saw: (B, N, C), (B * M, H * W) -> (B * M, N, out).

    grid: of the map that the table of positions is made for; prefix: P, tokens that no mask keeps.
    """

    names = ((r'^pos_embed$', 'positions.table'), (r'\.ls([12])\.gamma$', r'.gamma\1'))

    def __init__(
        self,
        dim: int,
        out: int,
        *,
        grid: Size,
        prefix: int,
        blocks: int = 2,
        heads: int,
        qkv_bias: bool = True,
        layer_scale: float | None = 1e-6,
    ):
        super().__init__(dim, out, blocks=blocks, heads=heads, eps=1e-5, qkv_bias=qkv_bias, layer_scale=layer_scale)
        self.prefix = prefix
        self.positions = PositionTable(dim, grid, rows=prefix)

    def forward(self, x: Tensor, masks: Tensor, size: Size) -> Tensor:
        x = x.repeat_interleave(len(masks) // len(x), 0) * F.pad(masks, (self.prefix, 0))[..., None]
        return super().forward(x + self.positions(size))


@MODELS.register_module()
class LocalityAlignment(RenamesKeys, BaseModel):
    """A plain backbone is taught by itself what each patch holds.

    Args:
        backbone: config of a plain backbone, with the weights it starts from (`pretrained`). The authors cap the
            logits of the trained network: `logit_cap=30`.
        masks: 'uniform', 'bernoulli' or 'blockwise'; each image has one, its complement, and the whole image.
        skipped_blocks: the frozen network's last ones, which are left out.
        decoder_blocks: of the decoder, which has the backbone's width and heads.
        scaled_steps: targets are divided by their deviation, as it was measured in so many first steps.
        data_preprocessor, init_cfg: mmengine's.

    Labels of the images are not read. Raises ValueError for what is no plain backbone with a final norm.
    """

    names = ((r'^encoder\.head\.', 'head.'), (r'^encoder\.', 'backbone.'))

    def __init__(
        self,
        *,
        backbone: Mapping[str, Any],
        masks: str = 'uniform',
        skipped_blocks: int = 1,
        decoder_blocks: int = 2,
        scaled_steps: int = 100,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor, init_cfg)
        kind = MODELS.get(backbone['type'])
        if not (isinstance(kind, type) and issubclass(kind, PlainBackbone) and kind.has_final_norm):
            raise ValueError(
                f'Locality alignment trains a plain backbone with a final norm, such as ViT or DINOv2, '
                f"and '{backbone['type']}' is none."
            )
        if masks not in DRAWS:
            raise ValueError(f"There are no masks '{masks}'. Known: {', '.join(DRAWS)}.")
        last = kind.resolve_arch(backbone['arch']).blocks - 1
        if not 0 <= skipped_blocks <= last:
            raise ValueError(f'skipped_blocks must be 0..{last}, got {skipped_blocks}.')
        settings = {**backbone, 'norm_outputs': True}
        self.backbone = MODELS.build({**settings, 'out_indices': (last,)})
        uncapped = {'logit_cap': None} if 'logit_cap' in backbone else {}
        first = {'out_indices': (last - skipped_blocks,), 'pretrained': None, 'init_cfg': None}
        self.teacher = MODELS.build({**settings, **first, **uncapped}).requires_grad_(False)
        width, embed = self.backbone.out_channels[-1], self.backbone.patch_embed
        for network in (self.backbone, self.teacher):
            network.output_tokens = embed.prefix > 0
        self.head = Linear(width, width)
        self.decoder = MaskEmbedDecoder(
            width,
            width,
            grid=self.backbone.grid,
            prefix=embed.prefix,
            blocks=decoder_blocks,
            heads=self.backbone.arch.heads,
        )
        self.draw = DRAWS[masks]
        self.scaled_steps = scaled_steps
        self.register_buffer('moments', torch.zeros(3))  # sums of targets and of their squares, and steps
        self.reset_outputs()

    def reset_outputs(self) -> None:
        """The final norm as a new one, and a head that says nothing yet."""
        self.backbone.norm.reset_parameters()
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def init_weights(self) -> None:
        """Load the weights that training starts from, and give them to the frozen network."""
        super().init_weights()
        left = self.teacher.load_state_dict(self.backbone.state_dict(), strict=False)
        assert not left.missing_keys, left
        self.reset_outputs()

    def train(self, mode: bool = True) -> 'LocalityAlignment':
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor') -> Any:
        """inputs: (B, 3, height, width), normalised -> {'loss': ...} in mode 'loss', else the trained network's map."""
        out = self.backbone(inputs)[0]
        if mode != 'loss':
            return out[0] if self.backbone.output_tokens else out
        tokens, size = self.tokens(out)
        seed = int(torch.randint(2**62, ()))
        masks = with_complements(self.draw, np.random.default_rng(seed), len(inputs), size).to(inputs)
        with torch.no_grad():
            target = self.tokens(self.teacher(black_out(inputs, masks, size, self.backbone.patch_size))[0])[0]
        found = self.decoder(self.head(tokens), masks, size)
        return {'loss': F.mse_loss(found, target * self.scale_of(target))}

    @staticmethod
    def tokens(out: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, Size]:
        """All tokens (B, N, C) of a backbone's output, and the map's size."""
        patches, prefix = (out, None) if isinstance(out, Tensor) else out
        size = patches.shape[2], patches.shape[3]
        x = patches.flatten(2).transpose(1, 2)
        return (x if prefix is None else torch.cat([prefix, x], 1)), size

    @torch.no_grad()
    def scale_of(self, target: Tensor) -> Tensor:
        """One over the deviation of the targets of the first steps, over all processes."""
        if self.moments[2] < self.scaled_steps:
            step = torch.stack([target.mean(), target.square().mean(), target.new_ones(())]).to(self.moments)
            dist.all_reduce(step, 'mean')
            self.moments += step
        mean, square, _ = self.moments / self.moments[2]
        return (square - mean.square()).clamp(min=torch.finfo(mean.dtype).tiny).rsqrt()
