"""EoMT: a plain vision transformer whose last blocks take queries among their tokens, and no other decoder.

Paper: "Your ViT is Secretly an Image Segmentation Model", https://arxiv.org/abs/2503.19108.
Official code: https://github.com/tue-mps/eomt (MIT); weights on DINOv3 fall under its license.

Queries stand in front of all other tokens and attend with them, jointly, in the last blocks. Before each of these
classes and masks are predicted; in training a query then sees only the patches inside its mask. Masked attention is
phased out block by block (`MaskAnnealingHook`), so prediction needs none of it and is a plain pass of the transformer.
Losses and inference are Mask2Former's.

Legend: B batch, Q queries, K classes, N tokens, P class token and registers, C channels, H W map of patches, h w masks.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import Mask2FormerHead as MMDetHead
from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from mmseg.models.decode_heads import Mask2FormerHead as MMSegHead
from torch import Tensor, nn

from denseformer.attention.rotary import Rotation
from denseformer.backbones.plain.base import PlainBackbone
from denseformer.backbones.plain.embedding import Size, TokenEmbed
from denseformer.checkpoints import CheckpointError
from denseformer.checkpoints.addresses import CATALOG, catalog_entry, local_file
from denseformer.checkpoints.common import file_hash
from denseformer.checkpoints.files import read_weights
from denseformer.checkpoints.fitting import below
from denseformer.checkpoints.keys import Rule, StateDict, drop, rename
from denseformer.detection.mask2former.model import Mask2FormerSegmentor, Mask2FormerSemanticHead, QueryLosses
from denseformer.layers import LayerNorm2d, Linear
from denseformer.registry import MODELS

TAKEN = 'take ViT without relative positions, DINOv2, DINOv3, TIPS, CroCo or SMARTIES'
OFFICIAL = r'^encoder\.backbone\.'
"""The authors' name of the transformer, as a pattern."""
CONSTANTS = r'(^|\.)attn_mask_probs$', r'(^|\.)encoder\.pixel_(mean|std)$', r'(^|\.)criterion\.'
TRANSFORMERS: tuple[Rule, ...] = (
    (r'^query\.', 'q.'),
    (r'^class_predictor\.', 'class_head.'),
    (r'^mask_head\.fc(\d)\.', lambda match: f'mask_head.{2 * int(match[1]) - 2}.'),
    (r'^upscale_block\.block\.(\d)\.layernorm2d\.', r'upscale.\1.norm.'),
    (r'^upscale_block\.block\.', 'upscale.'),
    (r'^(embeddings|layers|layernorm)\.', r'backbone.\1.'),
    (r'\.position_embeddings\.weight$', '.position_embeddings'),
    (r'\.attention\.out_proj\.', '.attention.o_proj.'),
)
"""From transformers' names to ours; the rest of the transformer's is left to it."""
Prediction = tuple[list[Tensor], list[Tensor]]
"""Class scores (B, Q, K + 1) and masks (B, Q, h, w), both before softmax and sigmoid, of one or more blocks."""


class ScaleBlock(nn.Module):
    """Doubles a map and smooths it: (B, C, H, W) -> (B, C, 2H, 2W)."""

    def __init__(self, dim: int):
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(dim, dim, 2, 2)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1, groups=dim, bias=False)
        self.norm = LayerNorm2d(dim, 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv2(F.gelu(self.conv1(x))))


@MODELS.register_module()
class EoMT(BaseModule):
    """A plain backbone with queries; stands where a model has its backbone, and returns what its head predicts.

    Args:
        backbone: config of a plain backbone whose blocks attend to all tokens, with a rotation or without: ViT (not
            BEiT's), DINOv2, DINOv3, TIPS, CroCo or SMARTIES.
        num_classes: K, of things and stuff together; the score of nothing is one more.
        num_queries: the most masks that are found in an image.
        query_blocks: how many of the last blocks take queries.
        masked_attention: whether training predicts before each of these blocks, too, and masks attention by it.
        deltas_to: weights, as `pretrained` of a backbone names them, to which the transformer in files of the authors
            holds differences, as in all that they publish on DINOv3; None for files that hold the weights themselves.
        init_cfg: mmengine's.

    `mask_shares`, one number for each query block, says which share of the queries, drawn per image, keeps to its mask.
    It is 0 unless `MaskAnnealingHook` sets it. Raises ValueError for backbones whose blocks want more than tokens.
    """

    adds_queries = True
    """Whether maps depend on queries, which learn, so that none can be kept: `frozen_backbone` asks."""

    def __init__(
        self,
        *,
        backbone: Mapping[str, Any],
        num_classes: int,
        num_queries: int = 100,
        query_blocks: int = 4,
        masked_attention: bool = True,
        deltas_to: str | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        kind = MODELS.get(backbone['type'])
        if not (isinstance(kind, type) and issubclass(kind, PlainBackbone)):
            raise ValueError(f"EoMT puts queries into a plain backbone, and '{backbone['type']}' is none.")
        if not kind.has_final_norm:
            raise ValueError(f'EoMT predicts behind the final norm, and {kind.__name__} has none: {TAKEN}.')
        last = kind.resolve_arch(backbone['arch']).blocks - 1
        self.backbone = MODELS.build({**backbone, 'out_indices': (last,), 'norm_outputs': True})
        if not isinstance(self.backbone.patch_embed, TokenEmbed):
            raise ValueError(
                f'EoMT puts queries among tokens that are alike, and {kind.__name__} has others inside its patches: '
                f'{TAKEN}.'
            )
        self.base = None if deltas_to is None else kind.starting_point(backbone['arch'], deltas_to)
        if not 1 <= query_blocks <= last + 1:
            raise ValueError(f'query_blocks must be 1..{last + 1}, got {query_blocks}.')
        dim = self.backbone.out_channels[0]
        self.query_blocks = query_blocks
        self.masked_attention = masked_attention
        self.mask_shares = [0.0] * query_blocks
        self.q = nn.Embedding(num_queries, dim)
        self.class_head = Linear(dim, num_classes + 1)
        self.mask_head = nn.Sequential(Linear(dim, dim), nn.GELU(), Linear(dim, dim), nn.GELU(), Linear(dim, dim))
        doublings = max(1, int(math.log2(self.backbone.patch_size)) - 2)
        self.upscale = nn.Sequential(*(ScaleBlock(dim) for _ in range(doublings)))

    def forward(self, image: Tensor) -> Prediction:
        """image: (B, in_channels, height, width), normalised -> the predictions; the last ones count.

        In training, and wherever `mask_shares` are set, there are those before each query block, too.
        """
        x, size = self.backbone.patch_embed(image)
        rotation = self.rotation(x, size)
        blocks = self.backbone.blocks
        for block in blocks[: -self.query_blocks]:
            x = self.backbone.run(block, x, rotation)
        x = torch.cat([self.q.weight.expand(x.shape[0], -1, -1), x], 1)
        rotation = unturned(rotation, self.q.num_embeddings)
        scores, masks = [], []
        for block, share in zip(blocks[-self.query_blocks :], self.mask_shares, strict=True):
            bias = None
            if self.masked_attention and (self.training or share):
                block_scores, block_masks = self.predict(x, size)
                scores.append(block_scores)
                masks.append(block_masks)
                bias = self.mask_bias(block_masks, size, x, share) if share else None
            x = self.backbone.run(block, x, rotation, bias)
        block_scores, block_masks = self.predict(x, size)
        return [*scores, block_scores], [*masks, block_masks]

    def rotation(self, x: Tensor, size: Size) -> Rotation | None:
        context = self.backbone.context(x, size)
        if not context:
            return None
        if isinstance(context[0], tuple) and isinstance(context[0][0], Tensor):
            return context[0]
        raise ValueError(
            f"The blocks of {type(self.backbone).__name__} attend by each patch's place in the map, and queries have "
            f'none: {TAKEN}.'
        )

    def predict(self, x: Tensor, size: Size) -> tuple[Tensor, Tensor]:
        """Tokens (B, Q + P + N, C) -> class scores (B, Q, K + 1) and masks (B, Q, h, w)."""
        x = self.backbone.norm(x)
        count = self.q.num_embeddings
        queries, patches = x[:, :count], x[:, count + self.backbone.patch_embed.prefix :]
        pixels = self.upscale(patches.unflatten(1, size).permute(0, 3, 1, 2))  # (B, C, h, w)
        return self.class_head(queries), torch.einsum('bqc,bchw->bqhw', self.mask_head(queries), pixels)

    @torch.no_grad()
    def mask_bias(self, masks: Tensor, size: Size, x: Tensor, share: float) -> Tensor:
        """(B, 1, N, N): -inf from a query to the patches outside its mask, for `share` of the queries; else 0."""
        outside = F.interpolate(masks.float(), size, mode='bilinear', align_corners=False).flatten(2) <= 0
        if share < 1:
            outside &= (torch.rand(outside.shape[:2], device=x.device) < share)[..., None]
        bias = x.new_zeros(len(x), 1, x.shape[1], x.shape[1])
        bias[:, 0, : outside.shape[1], -outside.shape[2] :].masked_fill_(outside, -math.inf)
        return bias

    def own_names(self, state_dict: StateDict) -> StateDict:
        """`state_dict`, under the names of the authors, of transformers or ours, under ours; pure.

        The transformer is below `backbone.`, and differences to one, which are no weights yet, are below `deltas.`.
        """
        state_dict = rename(drop(state_dict, *CONSTANTS), (r'^network\.', ''))
        if 'query.weight' in state_dict:
            state_dict = rename(state_dict, *TRANSFORMERS)
        return rename(state_dict, (OFFICIAL, 'backbone.' if self.base is None else 'deltas.'))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        own = {key[len(prefix) :]: state_dict.pop(key) for key in list(state_dict) if key.startswith(prefix)}
        own = self.own_names(own)
        if self.base is not None and below(own, 'deltas.'):
            own = self.added_to(self.base, own)
        state_dict.update({prefix + key: value for key, value in own.items()})
        super()._load_from_state_dict(state_dict, prefix, *args)

    def added_to(self, base_address: str, own: StateDict) -> StateDict:
        """The weights of a file whose transformer holds differences to a base: their sums, and the rest as it is.

        Raises CheckpointError for a base of another hash than its authors', or of other tensors.
        """
        path = local_file(base_address)
        found = file_hash(path)
        entry = catalog_entry(base_address) if base_address.startswith(CATALOG) else None
        if entry and entry.sha256 and not found.startswith(entry.sha256):
            raise CheckpointError(f'{path}: has the hash {found}, its authors say {entry.sha256}: fetch it again.')
        base = self.backbone.own_names(read_weights(path))
        deltas = self.backbone.own_names(below(own, 'deltas.'))
        if {k: v.shape for k, v in base.items()} != {k: v.shape for k, v in deltas.items()}:
            raise CheckpointError(
                f'{path}: the differences belong to other weights: these have {len(base)} tensors of '
                f'{type(self.backbone).__name__}, those {len(deltas)}, or their shapes differ.'
            )
        logger = MMLogger.get_current_instance()
        logger.info(f'The transformer is {base_address} (sha256 {found[:8]}) and the differences of the file, added.')
        rest = drop(own, r'^deltas\.')
        return {**rest, **{f'backbone.{key}': value + deltas[key].to(value) for key, value in base.items()}}


def unturned(rotation: Rotation | None, count: int) -> Rotation | None:
    """A rotation with `count` tokens in front that are not turned."""
    if rotation is None:
        return None
    sin, cos = rotation
    front = (0, 0) * (sin.ndim - 1) + (count, 0)
    return F.pad(sin, front), F.pad(cos, front, value=1.0)


class EoMTLosses(QueryLosses):
    """A head without parameters, before mmdetection's or mmsegmentation's: `EoMT` has made the predictions.

    Args:
        num_classes, num_stuff: of things and stuff together, and of stuff; things stand first.
        num_points: at which a mask is compared with a label.
        void_weight: of the class `nothing`, which most queries have, in the loss.
        train_cfg, test_cfg: passed by mmdetection's detector; not used.
    """

    align_corners = False
    ignore_index = 255
    threshold = None

    def __init__(
        self,
        *,
        num_classes: int,
        num_stuff: int = 0,
        num_points: int = 12544,
        void_weight: float = 0.1,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
    ):
        BaseModule.__init__(self)
        self.num_classes = self.out_channels = num_classes
        self.num_things_classes, self.num_stuff_classes = num_classes - num_stuff, num_stuff
        self.num_points = num_points
        self.build_losses(num_classes, void_weight)

    def init_weights(self) -> None:
        """Draw nothing: there are no parameters."""

    def forward(self, x: Prediction, batch_data_samples: Sequence[Any]) -> Prediction:
        return x


@MODELS.register_module()
class EoMTHead(EoMTLosses, MMDetHead):
    """EoMT's losses for instance and panoptic segmentation, in mmdetection's `Mask2Former`."""

    def predict(self, x: Prediction, batch_data_samples: list) -> tuple[Tensor, Tensor]:
        """The last class scores (B, Q, K + 1) and masks (B, Q, h, w)."""
        scores, masks = x
        return scores[-1], masks[-1]


@MODELS.register_module()
class EoMTSemanticHead(EoMTLosses, MMSegHead):
    """EoMT's losses for semantic segmentation, in mmsegmentation's `EncoderDecoder`."""

    predict = Mask2FormerSemanticHead.predict


@MODELS.register_module()
class EoMTSegmentor(Mask2FormerSegmentor):
    """Model for semantic segmentation whose windows lie at even distances, as the authors test.

    mmsegmentation's lie at full strides, and the last one ends with the image: others, from three windows on.
    """

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """The mean of the windows' class scores: (B, 3, H, W) -> (B, K, H, W)."""
        sides = zip(inputs.shape[2:], self.test_cfg['crop_size'], self.test_cfg['stride'], strict=True)
        rows, columns = (list(even_windows(*side)) for side in sides)
        total = inputs.new_zeros(len(inputs), self.out_channels, *inputs.shape[2:])
        count = inputs.new_zeros(inputs.shape[2:])
        for place in product(rows, columns):
            window = inputs[..., *place]
            metas = [{**meta, 'img_shape': window.shape[2:]} for meta in batch_img_metas]
            total[..., *place] += self.encode_decode(window, metas)
            count[place] += 1
        return total / count


def even_windows(length: int, size: int, stride: int) -> Iterator[slice]:
    """As few windows of `size` at even distances of `stride` at most as cover a side; a short side is one window.

    Raises ValueError for a stride that leaves pixels in no window.
    """
    if not 0 < stride <= size:
        raise ValueError(
            f"test_cfg's stride is {stride}: set it to 1 .. {size}, its crop_size, or pixels lie in no window."
        )
    spare = max(length - size, 0)
    steps = -(-spare // stride)
    for i in range(steps + 1):
        start = i * spare // max(steps, 1)
        yield slice(start, start + size)
