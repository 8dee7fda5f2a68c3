"""P2AT: pyramid-pooled axial attention over the coarsest map, and a light decoder for real-time segmentation.

Paper: "P2AT: Pyramid Pooling Axial Transformer for Real-time Semantic Segmentation", https://arxiv.org/abs/2310.15025.
Official: https://github.com/mohamedac29/P2AT (MIT), on torchvision's ResNets; the head takes any pyramid of four maps.

Particular: rows and columns are averaged, attend each among themselves, and are added back to all positions; no norm
stands before attention or MLP. The official code concatenates its first pooled map twice and leaves the second one out;
`distinct_pools` concatenates all three, as the paper draws it. While training, a batch has two images at least:
BatchNorm follows global pooling.

Legend: B batch, C channels, h w a map, N heads, D key and E value channels of a head, L a row's or column's length.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.pid_head import BasePIDHead
from torch import Tensor, nn

from denseformer.checkpoints.keys import Rule
from denseformer.layers import ConvNorm, DepthwiseConv2d, Mlp2d
from denseformer.registry import MODELS
from denseformer.segmentation.segmentor import DeepSupervisionHead

HEADS, KEY_DIM, VALUE_DIM = 8, 16, 32

plain_conv = partial(ConvNorm, norm=nn.Identity)
"""A convolution alone, under the name that it has before a norm."""


def active_conv(dim: int, out_dim: int, kernel_size: int = 1, groups: int = 1) -> ConvNorm:
    return ConvNorm(dim, out_dim, kernel_size, groups=groups, act=partial(nn.PReLU, out_dim))


class PooledContext(nn.Module):
    """Weighs each position by means over growing areas around it: (B, C, h, w) -> the same."""

    def __init__(self, dim: int, distinct_pools: bool):
        super().__init__()
        self.distinct_pools = distinct_pools
        self.conv1 = active_conv(dim, dim)
        self.conv2 = active_conv(3 * dim, dim, 3, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        near = F.avg_pool2d(x, 3, 1, 1)
        middle = F.avg_pool2d(near, 5, 1, 2)
        far = F.avg_pool2d(middle, 7, 1, 3)
        return x * self.conv2(torch.cat([near, middle if self.distinct_pools else near, far], 1))


class AxisAttention(nn.Module):
    """Attention among the means of rows, or of columns.

    Shape: queries and keys (B, N D, L), values (B, N E, L) -> (B, N E, L).
    """

    def __init__(self, length: int):
        super().__init__()
        self.query_positions = nn.Parameter(torch.randn(1, HEADS * KEY_DIM, length))
        self.key_positions = nn.Parameter(torch.randn(1, HEADS * KEY_DIM, length))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q = (q + self.resized(self.query_positions, q)).unflatten(1, (HEADS, KEY_DIM))
        k = (k + self.resized(self.key_positions, k)).unflatten(1, (HEADS, KEY_DIM))
        weights = (q.transpose(2, 3) @ k * KEY_DIM**-0.5).softmax(-1)  # (B, N, L, L)
        return (v.unflatten(1, (HEADS, VALUE_DIM)) @ weights.transpose(2, 3)).flatten(1, 2)

    @staticmethod
    def resized(positions: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(positions, like.shape[-1], mode='linear')


class AxialAttention(nn.Module):
    """Attention of rows and of columns of the pooled map, times its details: (B, C, h, w) -> the same."""

    def __init__(self, dim: int, length: int, distinct_pools: bool):
        super().__init__()
        inner = HEADS * VALUE_DIM
        self.details = nn.ModuleList([ConvNorm(dim, dim), ConvNorm(dim, dim, 3)])
        self.pool = PooledContext(dim, distinct_pools)
        self.to_q, self.to_k = (plain_conv(dim, HEADS * KEY_DIM) for _ in range(2))
        self.to_v = plain_conv(dim, inner)
        self.rows, self.columns = AxisAttention(length), AxisAttention(length)
        self.proj_rows, self.proj_columns = active_conv(inner, inner), plain_conv(inner, inner)
        self.proj = active_conv(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        details = self.details[0](x)
        details = details + self.details[1](details)
        x = self.pool(x)
        q, k, v = self.to_q(x), self.to_k(x), self.to_v(x)
        rows = self.proj_rows(self.rows(q.mean(3), k.mean(3), v.mean(3))[..., None])  # (B, N E, h, 1)
        columns = self.proj_columns(self.columns(q.mean(2), k.mean(2), v.mean(2))[:, :, None])  # (B, N E, 1, w)
        return details * self.proj(v + (rows + columns))


class ConvFeedForward(nn.Module):
    """An MLP of convolutions with a depth-wise one before its ReLU: (B, C, h, w) -> the same."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Conv2d(dim, hidden, 1, bias=False)
        self.dwconv = DepthwiseConv2d(hidden)
        self.fc2 = nn.Conv2d(hidden, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.relu(self.dwconv(self.fc1(x))))


class AttentionBlock(nn.Module):
    """(B, C, h, w) -> the same."""

    def __init__(self, dim: int, length: int, distinct_pools: bool):
        super().__init__()
        self.attn = AxialAttention(dim, length, distinct_pools)
        self.mlp = ConvFeedForward(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(x)
        return x + self.mlp(x)


class DecoderBlock(nn.Module):
    """A depth-wise convolution and an MLP, as ConvNeXt's with BatchNorm and Hardswish: (B, C, h, w) -> the same."""

    def __init__(self, dim: int, kernel_size: int):
        super().__init__()
        self.dwconv = ConvNorm(dim, dim, kernel_size, groups=dim, bias=True)
        self.mlp = Mlp2d(dim, 4 * dim, nn.Hardswish)
        self.gamma = nn.Parameter(torch.full((dim,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gamma[:, None, None] * self.mlp(self.dwconv(x))


class LocalRefinement(nn.Module):
    """The map's mean and a gate of each position, added: (B, C, h, w) -> (B, out_dim, h, w)."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.conv1 = active_conv(dim, out_dim)
        self.conv2, self.conv3, self.fuse = (plain_conv(out_dim, out_dim) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return self.fuse(self.conv2(x.mean((2, 3), keepdim=True)) + self.conv3(x).sigmoid())


class ChannelSoftmax(nn.Module):
    """A map times a softmax over its channels: (B, C, h, w) -> (B, out_dim, h, w)."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.conv1 = active_conv(dim, out_dim)
        self.conv2 = plain_conv(dim, out_dim, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv1(x) * self.conv2(x).softmax(1)


class BidirectionalFusion(nn.Module):
    """A fine map, the next coarser one and the decoder's, at the size of the fine one: -> (B, out_dim, h, w)."""

    def __init__(self, fine_dim: int, coarse_dim: int, out_dim: int):
        super().__init__()
        self.fine = LocalRefinement(fine_dim, out_dim)
        self.coarse = ConvNorm(coarse_dim, out_dim)
        self.decoded = ChannelSoftmax(out_dim, out_dim)
        self.fuse = ConvNorm(3 * out_dim, out_dim)

    def forward(self, fine: Tensor, coarse: Tensor, decoded: Tensor) -> Tensor:
        fine = self.fine(fine)
        coarse, decoded = enlarged(self.coarse(coarse), fine), enlarged(self.decoded(decoded), fine)
        return self.fuse(torch.cat([fine, decoded, coarse], 1)) + coarse * decoded + (coarse * fine).sigmoid()


class GlobalContext(nn.Module):
    """Adds what follows from the map's mean: (B, C, h, w) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.conv1 = plain_conv(dim, dim, 3)
        self.gain = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.conv2 = active_conv(dim, dim, 7)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.conv1(x.mean((2, 3), keepdim=True))
        return x + self.conv2(mean * self.gain[:, None, None] + self.bias[:, None, None])


def enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode='bilinear')


@MODELS.register_module()
class P2ATHead(DeepSupervisionHead):
    """The decoder, for four maps of any backbone, finest first.

    While training it returns the scores and those of its two fusions of maps.

    Args:
        in_channels, num_classes, options: as in `DeepSupervisionHead`.
        channels: of the decoder.
        position_length: of the tables of positions, which are interpolated to the sides of the coarsest map.
        distinct_pools: concatenate three pooled maps, as in the paper; else the first twice and the third, as the
            official code does.
    """

    official: ClassVar[tuple[Rule, ...]] = (
        (r'^model\.', ''),
        (r'^conv1_x\.', 'backbone.conv1.'),
        (r'^(bn1|layer\d)\.', r'backbone.\1.'),
        (r'^(?!backbone\.)', 'decode_head.'),
        (r'\.bn\.', '.norm.'),
        (r'\.feature_reducer\.', '.reduce.'),
        (r'\.deep_feature_processor\.transformer_layers\.', '.blocks.'),
        (r'\.details_enhancer\.conv1\.', '.details.0.'),
        (r'\.details_enhancer\.conv2\.', '.details.1.'),
        (r'(\.details\.\d|_feat|\.fuse|\.dwconv)\.0\.(conv\.)?', r'\1.conv.'),
        (r'(\.details\.\d|_feat|\.fuse|\.dwconv)\.1\.', r'\1.norm.'),
        (r'\.pool_feats_processor\.', '.pool.'),
        (r'\.proj_encode_row\.', '.proj_rows.'),
        (r'\.proj_encode_column\.', '.proj_columns.'),
        (r'\.pos_emb_row_q\.pos_embed$', '.rows.query_positions'),
        (r'\.pos_emb_row_k\.pos_embed$', '.rows.key_positions'),
        (r'\.pos_emb_column_q\.pos_embed$', '.columns.query_positions'),
        (r'\.pos_emb_column_k\.pos_embed$', '.columns.key_positions'),
        (r'\.mlp\.(fc\d)\.conv\.', r'.mlp.\1.'),
        (r'\.P(\d)_decoder\.', lambda match: f'.decoders.{int(match[1]) - 1}.'),
        (r'\.pwconv1\.0\.', '.mlp.fc1.'),
        (r'\.pwconv2\.', '.mlp.fc2.'),
        (r'\.BiS4\.', '.fusions.0.'),
        (r'\.BiS3\.', '.fusions.1.'),
        (r'\.down_feat\.', '.fine.'),
        (r'\.st_feat\.', '.coarse.'),
        (r'\.up_feat\.', '.decoded.'),
        (r'\.pool_gce4\.', '.contexts.0.'),
        (r'\.pool_gce3\.', '.contexts.1.'),
        (r'\.bn_scale\.weight$', '.gain'),
        (r'\.bn_scale\.bias$', '.bias'),
        (r'\.refine(\d)\.c2_\.', lambda match: f'.refine.{3 - int(match[1])}.'),
        (r'\.fuse([12])\.', lambda match: f'.merge.{int(match[1]) - 1}.'),
        (r'\.final_seg_head\.conv2\.', '.conv_seg.'),
        (r'\.aux_seg_head(\d)\.conv2\.', lambda match: f'.auxiliary_seg.{int(match[1]) - 1}.'),
        (r'\.final_seg_head\.', '.head.'),
        (r'\.aux_seg_head(\d)\.', lambda match: f'.auxiliary_heads.{int(match[1]) - 1}.'),
        (r'(head(?:s\.\d)?)\.bn1\.', r'\1.conv.bn.'),
        (r'(head(?:s\.\d)?)\.conv1\.', r'\1.conv.conv.'),
        (r'(head(?:s\.\d)?)\.bn2\.', r'\1.norm.'),
    )

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        channels: int = 64,
        position_length: int = 16,
        distinct_pools: bool = False,
        **options: Any,
    ):
        if len(in_channels) != 4:
            raise ValueError(f'P2ATHead takes four maps, in_channels={tuple(in_channels)} are {len(in_channels)}.')
        super().__init__(in_channels=in_channels, channels=channels, **options)
        finest, fine, coarse, coarsest = in_channels
        dim = channels
        self.reduce = active_conv(coarsest, dim)
        self.blocks = nn.Sequential(*(AttentionBlock(dim, position_length, distinct_pools) for _ in range(2)))
        self.decoders = nn.ModuleList(DecoderBlock(dim, kernel_size) for kernel_size in (3, 5, 7))
        self.fusions = nn.ModuleList([BidirectionalFusion(fine, coarse, dim), BidirectionalFusion(finest, fine, dim)])
        self.contexts = nn.ModuleList(GlobalContext(dim) for _ in range(2))
        self.refine = nn.ModuleList(active_conv(dim, dim, 3) for _ in range(3))
        self.merge = nn.ModuleList(active_conv(2 * dim, dim, 3) for _ in range(2))
        self.head = BasePIDHead(dim, dim)
        self.auxiliary_heads = nn.ModuleList(BasePIDHead(dim, dim) for _ in range(2))
        self.auxiliary_seg = nn.ModuleList(nn.Conv2d(dim, self.out_channels, 1) for _ in range(2))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor | tuple[Tensor, ...]:
        finest, fine, coarse, coarsest = self._transform_inputs(inputs)
        decoded = [self.decoders[0](self.blocks(self.reduce(coarsest)))]
        fused = []
        for i, (own, next_coarser) in enumerate(((fine, coarse), (finest, fine))):
            fused.append(self.fusions[i](own, next_coarser, decoded[-1]))
            decoded.append(self.decoders[i + 1](self.contexts[i](fused[-1])))
        x = self.refine[0](decoded[2])
        for i in range(2):
            x = self.refine[i + 1](self.merge[i](torch.cat([enlarged(decoded[1 - i], x), x], 1)))
        scores = self.head(x, self.cls_seg)
        if not self.training:
            return scores
        branches = zip(fused, self.auxiliary_heads, self.auxiliary_seg, strict=True)
        return scores, *(head(x, classify) for x, head, classify in branches)
