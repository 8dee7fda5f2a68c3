"""RT-DETR: a detector of queries that is as fast as those of anchors, without suppression of doubles.

Paper: "DETRs Beat YOLOs on Real-time Object Detection", https://arxiv.org/abs/2304.08069.
Official code: https://github.com/lyuwenyu/RT-DETR (Apache-2.0).

Attention within the coarsest map alone, then convolutions that fuse three levels (`HybridEncoder`); the best positions
of all levels become queries, with their own features as content; layers of deformable attention refine their boxes.
Noisy copies of the objects train beside them. The base is mmdetection's DINO, whose denoising, matching and losses
serve; what differs is written here. A class is scored by how well its box will overlap (`QualityVarifocalLoss`).

Positions in the coarsest map are encoded with rows and columns exchanged, as in the authors' code, which their weights
rest on. Boxes are relative to the padded batch, so that no attention needs to know of the padding.

Legend: B batch, C channels, H W a map, N positions of all levels, Q queries, K classes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmdet.models import backbones
from mmdet.models.detectors import DINO, DeformableDETR
from mmdet.models.detectors.deformable_detr import MultiScaleDeformableAttention
from mmdet.models.layers import DeformableDetrTransformerDecoder, inverse_sigmoid
from mmdet.models.layers.transformer.utils import MLP
from mmdet.models.losses import QualityFocalLoss
from mmengine.model import BaseModule
from torch import Tensor, nn

from denseformer.checkpoints.keys import RenamesKeys, Rule, StateDict, rename
from denseformer.layers import ConvNorm
from denseformer.registry import MODELS

TEMPERATURE = 10_000.0
"""The longest wave of the position encoding."""


def conv_norm_silu(dim: int, out_dim: int, kernel_size: int = 1, stride: int = 1) -> ConvNorm:
    return ConvNorm(dim, out_dim, kernel_size, stride, act=nn.SiLU)


def position_encoding(H: int, W: int, dim: int, device: torch.device) -> Tensor:
    """Sines and cosines of rows, then of columns: (H * W, dim)."""
    waves = TEMPERATURE ** -(torch.arange(dim // 4, device=device) / (dim // 4))
    rows, columns = (torch.arange(side, device=device)[:, None] * waves for side in (H, W))
    rows, columns = (torch.cat([x.sin(), x.cos()], -1) for x in (rows, columns))  # (H, dim / 2), (W, dim / 2)
    return torch.cat([rows[:, None].expand(-1, W, -1), columns[None].expand(H, -1, -1)], -1).flatten(0, 1)


class AttentionLayer(nn.Module):
    """Attention among the positions of a map and a feed-forward network, normed behind: (B, C, H, W) -> the same."""

    def __init__(self, dim: int, heads: int, hidden: int):
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm1 = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)
        self.norm2 = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        H, W = x.shape[2:]
        tokens = x.flatten(2).mT  # (B, H * W, C)
        placed = tokens + position_encoding(H, W, x.shape[1], x.device).to(x.dtype)
        tokens = self.norm1(tokens + self.attn(placed, placed, tokens, need_weights=False)[0])
        tokens = self.norm2(tokens + self.fc2(F.gelu(self.fc1(tokens))))
        return tokens.mT.unflatten(2, (H, W))


class TwoKernels(nn.Module):
    """A 3 x 3 and a 1 x 1 convolution side by side, summed (RepVGG): (B, C, H, W) -> the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.conv1 = ConvNorm(dim, dim, 3)
        self.conv2 = ConvNorm(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.conv1(x) + self.conv2(x))


class Fusion(nn.Module):
    """Fuses two levels that stand behind each other (CSPRepLayer): (B, 2 * C, H, W) -> (B, C, H, W)."""

    def __init__(self, dim: int, expansion: float, depth: int):
        super().__init__()
        hidden = int(dim * expansion)
        self.conv1 = conv_norm_silu(2 * dim, hidden)
        self.conv2 = conv_norm_silu(2 * dim, hidden)
        self.blocks = nn.Sequential(*(TwoKernels(hidden) for _ in range(depth)))
        self.conv3 = nn.Identity() if hidden == dim else conv_norm_silu(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(self.blocks(self.conv1(x)) + self.conv2(x))


@MODELS.register_module()
class HybridEncoder(RenamesKeys, BaseModule):
    """The neck: attention in the coarsest map, and levels fused from coarse to fine and back.

    Args:
        in_channels: of a backbone's maps, finest first, of which the coarsest `num_outs` are used. Each is half as high
            and wide as the one before it, rounded up: images are padded to multiples of the coarsest stride where a
            backbone rounds down.
        out_channels: of every level, a multiple of 4 and of num_heads.
        num_outs: the number of levels.
        num_heads, feedforward, layers: of the attention.
        expansion: hidden channels of a fusion in out_channels.
        depth: of a fusion.
        init_cfg: mmengine's.

    Raises ValueError for more levels than maps.
    """

    names: ClassVar[tuple[Rule, ...]] = (
        (r'^input_proj\.(\d+)\.0\.', r'lateral.\1.conv.'),
        (r'^input_proj\.(\d+)\.1\.', r'lateral.\1.norm.'),
        (r'^encoder\.0\.layers\.(\d+)\.self_attn\.', r'attention.\1.attn.'),
        (r'^encoder\.0\.layers\.(\d+)\.linear(\d)\.', r'attention.\1.fc\2.'),
        (r'^encoder\.0\.layers\.', 'attention.'),
        (r'^lateral_convs\.', 'reduce.'),
        (r'^fpn_blocks\.', 'top_down.'),
        (r'^downsample_convs\.', 'downs.'),
        (r'^pan_blocks\.', 'bottom_up.'),
        (r'\.bottlenecks\.', '.blocks.'),
    )

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        out_channels: int = 256,
        num_outs: int = 3,
        num_heads: int = 8,
        feedforward: int = 1024,
        layers: int = 1,
        expansion: float = 1.0,
        depth: int = 3,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        if num_outs > len(in_channels):
            raise ValueError(f'num_outs={num_outs} levels need as many maps: in_channels={tuple(in_channels)}.')
        dim, used = out_channels, in_channels[len(in_channels) - num_outs :]
        self.lateral = nn.ModuleList(ConvNorm(width, dim) for width in used)
        self.attention = nn.Sequential(*(AttentionLayer(dim, num_heads, feedforward) for _ in range(layers)))
        fusions = range(num_outs - 1)
        self.reduce = nn.ModuleList(conv_norm_silu(dim, dim) for _ in fusions)
        self.top_down = nn.ModuleList(Fusion(dim, expansion, depth) for _ in fusions)
        self.downs = nn.ModuleList(conv_norm_silu(dim, dim, 3, 2) for _ in fusions)
        self.bottom_up = nn.ModuleList(Fusion(dim, expansion, depth) for _ in fusions)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """One (B, C_i, H_i, W_i) per in_channels -> `num_outs` levels (B, out_channels, H_j, W_j), finest first."""
        *finer, x = [layer(each) for layer, each in zip(self.lateral, maps[-len(self.lateral) :], strict=True)]
        x = self.attention(x)
        coarser = []
        for reduce, fuse, fine in zip(self.reduce, self.top_down, reversed(finer), strict=True):
            coarser.append(reduce(x))
            x = fuse(torch.cat([F.interpolate(coarser[-1], fine.shape[2:]), fine], 1))
        levels = [x]
        for down, fuse, coarse in zip(self.downs, self.bottom_up, reversed(coarser), strict=True):
            levels.append(fuse(torch.cat([down(levels[-1]), coarse], 1)))
        return tuple(levels)


class Decoder(DeformableDetrTransformerDecoder):
    """Layers of attention among queries and to points of the levels; each moves the boxes of all queries.

    Unlike DINO's, its queries are not normed behind a layer, and their places are encoded from the boxes directly.
    """

    def _init_layers(self) -> None:
        super()._init_layers()
        self.ref_point_head = MLP(4, 2 * self.embed_dims, self.embed_dims, 2)

    def forward(
        self, query: Tensor, reference_points: Tensor, reg_branches: nn.ModuleList, **levels: Any
    ) -> tuple[Tensor, Tensor]:
        """Queries (B, Q, C) and boxes (B, Q, 4) -> both behind each layer, (layers, B, Q, ..), and the first boxes."""
        queries, boxes = [], [reference_points]
        for layer, move in zip(self.layers, reg_branches, strict=False):  # the last branch is the encoder's
            query = layer(
                query,
                query_pos=self.ref_point_head(reference_points),
                reference_points=reference_points[:, :, None],
                **levels,
            )
            moved = (move(query) + inverse_sigmoid(reference_points)).sigmoid()
            queries.append(query)
            boxes.append(moved)
            reference_points = moved.detach()
        return torch.stack(queries), torch.stack(boxes)


@MODELS.register_module()
class RTDETR(RenamesKeys, DINO):
    """RT-DETR on any backbone, with the neck `HybridEncoder`; the authors' weights load under their names.

    Args:
        level_channels: of each of the neck's levels.
        num_feature_levels: how many levels the neck has.
        decoder: mmdetection's settings of Deformable DETR's decoder.
        options: of mmdetection's `DINO`, but for its encoder and positional encoding.
    """

    decoder: Any

    def __init__(self, *args: Any, level_channels: int = 256, num_feature_levels: int = 3, **options: Any):
        self.level_channels = level_channels
        super().__init__(
            *args, num_feature_levels=num_feature_levels, with_box_refine=True, as_two_stage=True, **options
        )

    def _init_layers(self) -> None:
        self.decoder = Decoder(**self.decoder)
        dim = self.embed_dims = self.decoder.embed_dims
        self.input_proj = nn.ModuleList(ConvNorm(self.level_channels, dim) for _ in range(self.num_feature_levels))
        self.memory_trans_fc = nn.Linear(dim, dim)
        self.memory_trans_norm = nn.LayerNorm(dim)

    def init_weights(self) -> None:
        """The authors' first weights."""
        super(DeformableDETR, self).init_weights()
        for module in self.modules():
            if isinstance(module, MultiScaleDeformableAttention):
                module.init_weights()
        nn.init.xavier_uniform_(self.memory_trans_fc.weight)
        for layer in self.decoder.ref_point_head.layers:
            nn.init.xavier_uniform_(layer.weight)

    def loss(self, batch_inputs: Tensor, batch_data_samples: list) -> dict[str, Tensor]:
        with relative_to_batch(batch_inputs, batch_data_samples):
            return super().loss(batch_inputs, batch_data_samples)

    def predict(self, batch_inputs: Tensor, batch_data_samples: list, rescale: bool = True) -> list:
        with relative_to_batch(batch_inputs, batch_data_samples):
            found = super().predict(batch_inputs, batch_data_samples, rescale)
        for sample in found:
            H, W = sample.ori_shape if rescale else sample.img_shape
            boxes = sample.pred_instances.bboxes
            sample.pred_instances.bboxes = boxes.clamp(min=0).minimum(boxes.new_tensor([W, H, W, H]))
        return found

    def forward_transformer(self, img_feats: Sequence[Tensor], batch_data_samples: list | None = None) -> dict:
        """The levels (B, C, H, W) -> what the head takes."""
        maps = [layer(x) for layer, x in zip(self.input_proj, img_feats, strict=True)]
        shapes = torch.tensor([x.shape[2:] for x in maps], device=maps[0].device)  # (levels, 2)
        memory = torch.cat([x.flatten(2).mT for x in maps], 1)  # (B, N, C)
        starts = torch.cat([shapes.new_zeros(1), shapes.prod(1).cumsum(0)[:-1]])
        inputs, head_inputs = self.pre_decoder(memory, shapes, batch_data_samples)
        states, boxes = self.decoder(
            reg_branches=self.bbox_head.reg_branches,
            value=memory,
            key_padding_mask=None,
            spatial_shapes=shapes,
            level_start_index=starts,
            valid_ratios=memory.new_ones(len(memory), len(maps), 2),
            **inputs,
        )
        return {**head_inputs, 'hidden_states': states, 'references': list(boxes)}

    def pre_decoder(self, memory: Tensor, spatial_shapes: Tensor, batch_data_samples: list | None) -> tuple[dict, dict]:
        """The first queries and boxes: the positions (B, N, C) of the best scores, and noisy objects in training."""
        memory, anchors = self.gen_encoder_output_proposals(memory, None, spatial_shapes)
        head, last = self.bbox_head, self.decoder.num_layers
        scores = head.cls_branches[last](memory)  # (B, N, K)
        best = scores.amax(-1).topk(min(self.num_queries, memory.shape[1]), dim=1).indices[..., None]  # (B, Q, 1)

        def chosen(x: Tensor) -> Tensor:
            return x.gather(1, best.expand(-1, -1, x.shape[-1]))

        content = chosen(memory)
        moves = head.reg_branches[last](content) + chosen(anchors.expand(len(memory), -1, -1))
        query, boxes, mask = content.detach(), moves.detach(), None
        head_inputs: dict[str, Any] = {}
        if self.training:
            noisy, noisy_boxes, mask, meta = self.dn_query_generator(batch_data_samples)
            query, boxes = torch.cat([noisy, query], 1), torch.cat([noisy_boxes, boxes], 1)
            head_inputs = dict(enc_outputs_class=chosen(scores), enc_outputs_coord=moves.sigmoid(), dn_meta=meta)
        inputs = dict(query=query, reference_points=boxes.sigmoid(), self_attn_mask=mask)
        return inputs, head_inputs

    def own_names(self, state_dict: StateDict) -> StateDict:
        """From the authors' names, the label of nothing left out; our own names stay as they are."""
        if not any(key.startswith('decoder.dec_score_head.') for key in state_dict):
            return state_dict
        last = self.decoder.num_layers
        renamed = rename(
            state_dict,
            (r'^encoder\.', 'neck.'),
            (r'^decoder\.input_proj\.', 'input_proj.'),
            (r'^decoder\.decoder\.', 'decoder.'),
            (r'^decoder\.query_pos_head\.', 'decoder.ref_point_head.'),
            (r'^decoder\.enc_output\.0\.', 'memory_trans_fc.'),
            (r'^decoder\.enc_output\.1\.', 'memory_trans_norm.'),
            (r'^decoder\.enc_score_head\.', f'bbox_head.cls_branches.{last}.'),
            (r'^decoder\.enc_bbox_head\.', f'bbox_head.reg_branches.{last}.'),
            (r'^decoder\.dec_score_head\.', 'bbox_head.cls_branches.'),
            (r'^decoder\.dec_bbox_head\.', 'bbox_head.reg_branches.'),
            (r'^(bbox_head\.reg_branches\.\d+)\.layers\.(\d)\.', lambda m: f'{m[1]}.{2 * int(m[2])}.'),
            (r'^(decoder\.layers\.\d+)\.self_attn\.', r'\1.self_attn.attn.'),
            (r'^(decoder\.layers\.\d+)\.linear1\.', r'\1.ffn.layers.0.0.'),
            (r'^(decoder\.layers\.\d+)\.linear2\.', r'\1.ffn.layers.1.'),
            (r'^(decoder\.layers\.\d+)\.norm(\d)\.', lambda m: f'{m[1]}.norms.{int(m[2]) - 1}.'),
        )
        labels = renamed.pop('decoder.denoising_class_embed.weight', None)
        if labels is not None:
            renamed['dn_query_generator.label_embedding.weight'] = labels[: self.bbox_head.num_classes]
        return renamed


@contextmanager
def relative_to_batch(inputs: Tensor, samples: list) -> Iterator[None]:
    """A context in which images are as large as the padded batch (B, 3, H, W), which boxes are relative to."""
    shapes = [sample.img_shape for sample in samples]
    try:
        for sample in samples:
            sample.set_metainfo(dict(img_shape=tuple(inputs.shape[2:])))
        yield
    finally:
        for sample, shape in zip(samples, shapes, strict=True):
            sample.set_metainfo(dict(img_shape=shape))


@MODELS.register_module()
class QualityVarifocalLoss(QualityFocalLoss):
    """Varifocal loss, https://arxiv.org/abs/2008.13367, in the form that mmdetection's heads hand overlaps on.

    forward(pred (n, K) logits, target (labels (n,), overlaps (n,)), weight (n,), avg_factor) -> a sum over avg_factor.

    Args:
        alpha, gamma: weigh what is no object by alpha * p ** gamma, without a gradient through the weight.
        loss_weight: of the loss.
    """

    def __init__(self, alpha: float = 0.75, gamma: float = 2.0, loss_weight: float = 1.0):
        super().__init__(use_sigmoid=True, loss_weight=loss_weight)
        self.alpha, self.gamma = alpha, gamma

    def forward(
        self,
        pred: Tensor,
        target: tuple[Tensor, Tensor],
        weight: Tensor | None = None,
        avg_factor: float | Tensor = 1.0,
        reduction_override: str | None = None,
    ) -> Tensor:
        labels, overlaps = target
        is_object = F.one_hot(labels, pred.shape[1] + 1)[:, :-1].to(pred.dtype)  # (n, K)
        wanted = is_object * overlaps[:, None]
        importance = wanted + self.alpha * pred.detach().sigmoid() ** self.gamma * (1 - is_object)
        if weight is not None:
            importance = importance * weight[:, None]
        loss = F.binary_cross_entropy_with_logits(pred, wanted, importance, reduction='sum')
        return self.loss_weight * loss / avg_factor


@MODELS.register_module()
class ResNetVD(RenamesKeys, backbones.ResNetV1d):
    """mmdetection's ResNet-vd, which takes the weights of RT-DETR's authors, of a detector or of ImageNet."""

    names: ClassVar[tuple[Rule, ...]] = (
        (r'^conv1\.conv1_(\d)\.conv\.', lambda m: f'stem.{3 * int(m[1]) - 3}.'),
        (r'^conv1\.conv1_(\d)\.norm\.', lambda m: f'stem.{3 * int(m[1]) - 2}.'),
        (r'^res_layers\.(\d)\.blocks\.', lambda m: f'layer{int(m[1]) + 1}.'),
        (r'\.branch2([abc])\.conv\.', lambda m: f'.conv{"abc".index(m[1]) + 1}.'),
        (r'\.branch2([abc])\.norm\.', lambda m: f'.bn{"abc".index(m[1]) + 1}.'),
        (r'\.short\.(?:conv\.)?norm\.', '.downsample.2.'),
        (r'\.short\.(?:conv\.)?conv\.', '.downsample.1.'),
    )
