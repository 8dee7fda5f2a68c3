"""ParaTransCNN: a ResNet and a transformer side by side, joined by channel attention, and a decoder.

Paper: "ParaTransCNN: Parallelized TransCNN Encoder for Medical Image Segmentation", https://arxiv.org/abs/2401.15307.
Official: https://github.com/HongkunSun/ParaTransCNN (no licence; written from the paper and from what it returns).

Particular: the ResNet-34 has no pooling behind its stem, so its stages lie at strides 2 to 16; the transformer attends
over whole maps at strides 4, 8 and 16, without positions.

Legend: B batch, C channels, h w a map.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.models.backbones import ResNet
from torch import Tensor, nn

from denseformer.checkpoints.keys import RenamesKeys, Rule
from denseformer.layers import GlobalAttention, Linear, PreNormBlock, SqueezeExcite, pad_image_to_multiple
from denseformer.registry import MODELS
from denseformer.segmentation.segmentor import DeepSupervisionHead, fitted


class DroppedMlp(nn.Module):
    """Linear, GELU, Linear, with dropout behind each: (..., C) -> the same."""

    def __init__(self, dim: int, hidden: int, dropout: float):
        super().__init__()
        self.fc1 = Linear(dim, hidden)
        self.fc2 = Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.fc2(self.dropout(F.gelu(self.fc1(x)))))


class TransformerStage(nn.Module):
    """Patches, and blocks that attend over the whole map: (B, C, H, W) -> (B, dim, H / patch, W / patch)."""

    def __init__(self, in_dim: int, dim: int, patch: int, depth: int, heads: int, dropout: float):
        super().__init__()
        self.embed = nn.Conv2d(in_dim, dim, patch, patch)
        self.blocks = nn.Sequential(
            *(
                PreNormBlock(
                    dim,
                    GlobalAttention(dim, heads, qkv_bias=False),
                    DroppedMlp(dim, 2 * dim, dropout),
                    drop_path=0.0,
                )
                for _ in range(depth)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.embed(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@MODELS.register_module()
class ParaTransCNN(RenamesKeys, BaseModule):
    """The two encoders: three maps at strides 4, 8 and 16, of the channels of both together.

    An image is zero-padded on the right and at the bottom to multiples of 16.

    Args:
        width: channels of the transformer's first stage, doubled with each.
        depths, heads: of the transformer's stages.
        conv_width: channels of the ResNet's stem.
        dropout: in the transformer's MLPs.
        init_cfg: mmengine's; a file of torchvision's ResNet-34 is where the authors' ResNet starts from.
    """

    names: ClassVar[tuple[Rule, ...]] = (
        (r'^firstconv\.', 'cnn.conv1.'),
        (r'^firstbn\.', 'cnn.bn1.'),
        (r'^encoder(\d)\.', r'cnn.layer\1.'),
        (r'^(conv1|bn1|layer\d)\.', r'cnn.\1.'),
        (r'^patch_embed_(\d)\.', lambda match: f'stages.{int(match[1]) - 1}.embed.'),
        (r'^vit_(\d)\.', lambda match: f'stages.{int(match[1]) - 1}.'),
        (r'\.net\.(\d+)\.fn\.fn\.net\.0\.', lambda match: f'.blocks.{int(match[1]) // 2}.mlp.fc1.'),
        (r'\.net\.(\d+)\.fn\.fn\.net\.3\.', lambda match: f'.blocks.{int(match[1]) // 2}.mlp.fc2.'),
        (r'\.net\.(\d+)\.fn\.fn\.', lambda match: f'.blocks.{int(match[1]) // 2}.attn.'),
        (
            r'\.net\.(\d+)\.fn\.norm\.',
            lambda match: f'.blocks.{int(match[1]) // 2}.norm{int(match[1]) % 2 + 1}.',
        ),
        (r'^SE_(\d)\.fc\.0\.', lambda match: f'joins.{3 - int(match[1])}.fc1.'),
        (r'^SE_(\d)\.fc\.2\.', lambda match: f'joins.{3 - int(match[1])}.fc2.'),
    )

    def __init__(
        self,
        *,
        width: int = 320,
        depths: Sequence[int] = (3, 3, 3),
        heads: int = 8,
        conv_width: int = 64,
        dropout: float = 0.1,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        widths = [width << i for i in range(3)]
        sources, patches = (3, *widths[:2]), (4, 2, 2)
        self.cnn = ResNet(34, base_channels=conv_width)
        self.stages = nn.ModuleList(
            TransformerStage(source, dim, patch, depth, heads, dropout)
            for source, dim, patch, depth in zip(sources, widths, patches, depths, strict=True)
        )
        joined = [conv_width * 2**i + dim for i, dim in enumerate(widths, 1)]
        self.joins = nn.ModuleList(SqueezeExcite(dim, dim // 16, act=nn.ReLU, bias=False) for dim in joined)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """image: (B, 3, H, W), normalised -> three (B, C_i, H_i, W_i), finest first."""
        image = pad_image_to_multiple(image, 16)
        convolved = self.cnn.layer1(self.cnn.relu(self.cnn.norm1(self.cnn.conv1(image))))
        attended, maps = image, []
        layers = self.cnn.layer2, self.cnn.layer3, self.cnn.layer4
        for layer, stage, join in zip(layers, self.stages, self.joins, strict=True):
            convolved, attended = layer(convolved), stage(attended)
            maps.append(join(torch.cat([attended, convolved], 1)))
        return tuple(maps)


def double_conv(dim: int) -> nn.Sequential:
    layer = partial(nn.Conv2d, dim, dim, 3, padding=1)
    return nn.Sequential(layer(), nn.BatchNorm2d(dim), nn.ReLU(), layer(), nn.BatchNorm2d(dim), nn.ReLU())


@MODELS.register_module()
class ParaTransCNNHead(DeepSupervisionHead):
    """The decoder, for three maps, finest first, each half as high and wide as the one before.

    Args:
        in_channels, num_classes, options: as in `DeepSupervisionHead`; there are no auxiliary outputs.
        channels: of the map that classes are read from, which is 4 times as fine as the first.

    Raises ValueError for other numbers of maps.
    """

    official: ClassVar[tuple[Rule, ...]] = (
        (r'^(firstconv|firstbn|encoder\d|patch_embed_\d|vit_\d|SE_\d)\.', r'backbone.\1.'),
        (r'^decoder(\d)\.conv1\.', lambda match: f'decode_head.blocks.{int(match[1]) - 1}.0.'),
        (r'^decoder(\d)\.norm1\.', lambda match: f'decode_head.blocks.{int(match[1]) - 1}.1.'),
        (r'^decoder(\d)\.conv3\.', lambda match: f'decode_head.blocks.{int(match[1]) - 1}.3.'),
        (r'^decoder(\d)\.norm3\.', lambda match: f'decode_head.blocks.{int(match[1]) - 1}.4.'),
        (r'^up(\d)_1\.', lambda match: f'decode_head.enlarge.{3 - int(match[1])}.'),
        (r'^out\.', 'decode_head.conv_seg.'),
    )

    def __init__(self, *, in_channels: Sequence[int], channels: int = 320, **options: Any):
        if len(in_channels) != 3:
            raise ValueError(f'ParaTransCNNHead takes three maps, in_channels={tuple(in_channels)} are not.')
        super().__init__(in_channels=in_channels, channels=channels, **options)
        finest, middle, coarsest = in_channels
        dims = (coarsest, 2 * middle, middle + finest)
        self.blocks = nn.ModuleList(double_conv(dim) for dim in dims)
        self.enlarge = nn.ModuleList(
            [
                *(nn.ConvTranspose2d(dim, middle, 2, 2) for dim in dims[:2]),
                nn.ConvTranspose2d(dims[2], channels, 4, 4),
            ]
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor | tuple[Tensor]:
        finest, middle, coarsest = self._transform_inputs(inputs)
        x = self.enlarge[0](self.blocks[0](coarsest))
        for i, skip in enumerate((middle, finest), 1):
            x = self.enlarge[i](self.blocks[i](torch.cat([skip, fitted(x, skip)], 1)))
        scores = self.cls_seg(x)
        return (scores,) if self.training else scores
