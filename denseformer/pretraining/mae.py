"""MAE: a backbone and a small transformer learn to tell hidden patches from the few that are seen.

Paper: "Masked Autoencoders Are Scalable Vision Learners", https://arxiv.org/abs/2111.06377.
Official code: https://github.com/facebookresearch/mae (CC BY-NC 4.0); written from the paper and its facts.

A plain vision transformer is given the visible patches alone, a quarter, which is what makes it cheap; its decoder puts
a learned token at the places of the others. Networks whose blocks need a whole map (pyramids, windows, biases per
offset) are given a token in place of the hidden patches, as in SimMIM, and decoder, target and loss are the same.

Legend: B batch, C channels, H W image, s side of a patch, h w the map, N = h * w, n visible patches, P tokens in front
of the patches, D width of the decoder.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from denseformer.attention.rotary import Rotation
from denseformer.backbones.plain.base import PlainBackbone
from denseformer.backbones.plain.embedding import PositionTable, Size, sine_positions
from denseformer.checkpoints.keys import RenamesKeys, StateDict, drop, rename
from denseformer.layers import Linear
from denseformer.layers.initializers import INIT_STD
from denseformer.pretraining.hidden import TokenDecoder, last_map_backbone, map_without, token_sizes
from denseformer.registry import MODELS

EPS = 1e-6


def patchify(image: Tensor, side: int) -> Tensor:
    """The pixels of each patch, row by row, a pixel's channels together: (B, C, H, W) -> (B, N, side * side * C)."""
    x = image.unflatten(3, (-1, side)).unflatten(2, (-1, side))  # (B, C, h, s, w, s)
    return x.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def unpatchify(patches: Tensor, size: Size, channels: int) -> Tensor:
    """The image of `size` patches that `patchify` took apart."""
    side = math.isqrt(patches.shape[2] // channels)
    x = patches.unflatten(2, (side, side, channels)).unflatten(1, size)  # (B, h, w, s, s, C)
    return x.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)


def gather(x: Tensor, index: Tensor) -> Tensor:
    """The tokens (B, n, C) at the places `index`, (B, n), of (B, N, C)."""
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[2]))


def is_rotation(item: Any, tokens: int) -> bool:
    """Whether what a block is given besides tokens turns each of them by itself."""
    return isinstance(item, tuple) and all(isinstance(x, Tensor) and len(x) == tokens for x in item)


@MODELS.register_module()
class MAE(RenamesKeys, BaseModel):
    """A backbone, a token for hidden patches, and a transformer that decodes pixels.

    Args:
        backbone: config of a backbone; its last map alone is built. A table of positions holds MAE's fixed sines.
        share: of the patches of an image that are hidden, rounded up; a patch is as large as the stride of the map.
        decoder_width, decoder_blocks, decoder_heads: of the transformer that decodes.
        normalize_target: take each patch's own mean and deviation from its pixels, which are predicted.
        data_preprocessor, init_cfg: mmengine's.

    Labels of the images are not read; what does not fill a patch is cut off. Mode 'loss' returns the mean squared error
    of the hidden patches, mode 'tensor' the prediction (B, C, H, W), where `normalize_target` in units of each patch.
    Raises ValueError for what is no backbone of this project, and for CrossViT.
    """

    def __init__(
        self,
        *,
        backbone: Mapping[str, Any],
        share: float = 0.75,
        decoder_width: int = 512,
        decoder_blocks: int = 8,
        decoder_heads: int = 16,
        normalize_target: bool = True,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor, init_cfg)
        self.backbone, _ = last_map_backbone(backbone, 'MAE')
        self.share = share
        self.normalize_target = normalize_target
        self.stride = self.backbone.out_strides[-1]
        self.sees_visible_alone = self.takes_some_tokens()
        if self.sees_visible_alone:
            self.fix_positions()
        width, self.side = token_sizes(self.backbone)
        self.mask_token = nn.Parameter(INIT_STD * torch.randn(decoder_width if self.sees_visible_alone else width))
        self.embed = Linear(self.backbone.out_channels[-1], decoder_width)
        pixels = self.stride**2 * self.backbone.in_channels
        self.decoder = TokenDecoder(decoder_width, pixels, blocks=decoder_blocks, heads=decoder_heads, eps=EPS)

    @torch.no_grad()
    def takes_some_tokens(self) -> bool:
        """Whether the backbone's blocks work on any of its tokens, which is so where each has its place by itself."""
        net = self.backbone
        draws_widths = getattr(net, 'mlp_factors', None) is not None  # of its MLPs, in each forward pass
        if not isinstance(net, PlainBackbone) or net.embeds_parts or draws_widths:
            return False
        x, size = net.patch_embed(torch.zeros(1, net.in_channels, 2 * self.stride, 2 * self.stride))
        return all(is_rotation(item, x.shape[1]) for item in net.context(x, size))

    def fix_positions(self) -> None:
        positions = self.backbone.patch_embed.positions
        if isinstance(positions, PositionTable):
            table = positions.table
            table.data = sine_positions(positions.grid, table.shape[2], table.device, table.dtype)[
                :, 1 - positions.rows :
            ]
            table.requires_grad_(False)

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor') -> Any:
        """inputs: (B, C, H, W), normalised -> {'loss': ...} in mode 'loss', else the prediction."""
        H, W = (side // self.stride for side in inputs.shape[2:])
        image = inputs[..., : H * self.stride, : W * self.stride]
        hidden = self.draw(len(image), (H, W), image.device)
        predicted = self.reconstruct(image, hidden)
        if mode != 'loss':
            return unpatchify(predicted, (H, W), image.shape[1])
        return {'loss': self.loss(image, predicted, hidden)}

    def draw(self, count: int, size: Size, device: torch.device) -> Tensor:
        """(count, N): whether a patch of an image is hidden, equally many in each."""
        places = size[0] * size[1]
        return torch.rand(count, places, device=device).argsort(1) < math.ceil(self.share * places)

    def reconstruct(self, image: Tensor, hidden: Tensor) -> Tensor:
        """(B, C, H, W) without its hidden patches, (B, N) -> the prediction of all patches, (B, N, s * s * C)."""
        size = image.shape[2] // self.stride, image.shape[3] // self.stride
        if self.sees_visible_alone:
            x = self.with_tokens_for_hidden(self.embed(self.encode(image, hidden)), hidden)
        else:
            pixels = hidden.view(-1, *size).to(image.dtype)
            pixels = pixels.repeat_interleave(self.stride, 1).repeat_interleave(self.stride, 2)
            x = map_without(self.backbone, image, pixels, self.mask_token, self.side)
            x = self.embed(x.flatten(2).transpose(1, 2))
        prefix = x.shape[1] - hidden.shape[1]
        places = sine_positions(size, x.shape[2], x.device, x.dtype)[:, 1:]
        x = torch.cat([x[:, :prefix], x[:, prefix:] + places], 1)
        return self.decoder(x)[:, prefix:]

    def encode(self, image: Tensor, hidden: Tensor) -> Tensor:
        """The backbone's tokens (B, P + n, C) of the visible patches, behind the final norm."""
        net = self.backbone
        x, size = net.patch_embed(image)
        prefix = x.shape[1] - hidden.shape[1]
        seen = torch.cat([hidden.new_ones(len(hidden), prefix), ~hidden], 1)
        index = seen.nonzero()[:, 1].view(len(seen), -1)  # (B, P + n)
        context = [self.rotation_of(item, index) for item in net.context(x, size)]
        x = gather(x, index)
        for block in net.blocks:
            x = net.run(block, x, *context)
        return net.norm(x)

    @staticmethod
    def rotation_of(rotation: Rotation, index: Tensor) -> Rotation:
        """Angles (B, 1, n, ...), for all heads, of the tokens at `index`."""
        sin, cos = rotation
        return sin[index][:, None], cos[index][:, None]

    def with_tokens_for_hidden(self, x: Tensor, hidden: Tensor) -> Tensor:
        """(B, P + n, D) -> (B, P + N, D)."""
        B, N = hidden.shape
        prefix = x.shape[1] - int((~hidden[0]).sum())
        places = (~hidden).nonzero()[:, 1].view(B, -1, 1).expand(-1, -1, x.shape[2])
        patches = self.mask_token.to(x.dtype).expand(B, N, -1).scatter(1, places, x[:, prefix:])
        return torch.cat([x[:, :prefix], patches], 1)

    def loss(self, image: Tensor, predicted: Tensor, hidden: Tensor) -> Tensor:
        """The mean squared error of the hidden patches."""
        target = patchify(image, self.stride)
        if self.normalize_target:
            mean, variance = target.mean(2, keepdim=True), target.var(2, keepdim=True)
            target = (target - mean) / (variance + EPS).sqrt()
        return (predicted - target).square().mean(2)[hidden].mean()

    def own_names(self, state_dict: StateDict) -> StateDict:
        """From the authors' files, whose encoder has no prefix."""
        if 'mask_token' in state_dict:
            state_dict = {**state_dict, 'mask_token': state_dict['mask_token'].flatten()}
        return rename(
            drop(state_dict, r'^decoder_pos_embed$'),
            (r'^decoder_embed\.', 'embed.'),
            (r'^decoder_(blocks|norm)\.', r'decoder.\1.'),
            (r'^decoder_pred\.', 'decoder.head.'),
            (r'^(cls_token$|pos_embed$|(patch_embed|blocks|norm)\.)', r'backbone.\1'),
        )
