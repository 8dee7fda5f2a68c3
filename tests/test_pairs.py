"""Every backbone with every head: built from configs, trained one step, asked for a prediction on images of two sizes.

A new family or head costs no line here.
"""

from collections.abc import Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from learning import objects
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from narrow import narrow_arch

from denseformer.backbones.plain.base import PlainBackbone
from denseformer.config.loading import load_config
from denseformer.registry import MODELS as OWN_MODELS

pytestmark = pytest.mark.usefixtures('short_hash_learning')

BASE = Path(__file__).parents[1] / 'configs/_base_'
BACKBONES, NECKS, HEADS = (sorted((BASE / folder).glob('*.py')) for folder in ('backbones', 'necks', 'heads'))
HEADS_STRIDES = (4, 8, 16, 32)
PLAIN_HEADS = ('dpt', 'eomt', 'linear', 'setr')
"""Beginnings of the names of heads that take maps of one stride as they are."""
SAMPLED_HEADS = (
    *('atss', 'ddq', 'deformable_detr', 'dino', 'gfl', 'htc', 'rtdetr', 'rtmdet', 'rtmdet_ins'),
    'sparse_rcnn',
)
KINDS = ('swin', 'convnext', 'vit', 'lsnet')
"""Windows, convolutions, one stride, coarse maps: they stand for all before those heads, whose pairs take a second."""


def necks_for(backbone: Path, head: Path) -> list[Path | None]:
    """The necks to put between: one where strides repeat, else none. ViT stands for all before the other necks.

    Heads of plain maps have none; a backbone with rotary positions and one without stand for all.
    Backbones with fewer maps than the bases of heads take, as CvT with three, are left out, and those whose base must
    name four blocks, because no dense network was published, or builds a neck of its own, as USIS-SAM's encoder.
    """
    if backbone.stem == 'snnet':  # trains on a part of its parameters in each step, which its own test looks at
        return []
    if head.stem in SAMPLED_HEADS and backbone.stem not in KINDS:
        return []
    if head.stem == 'sparse_rcnn' and backbone.stem == 'lsnet':  # it reads maps at strides 4 to 32, and no coarser ones
        return []
    if head.stem.startswith(PLAIN_HEADS):
        return [None] if backbone.stem in ('vit', 'dinov3') else []
    options = Config.fromfile(backbone).backbone
    kind = OWN_MODELS.get(options.type)
    strides = getattr(kind, 'strides', HEADS_STRIDES)
    own_maps = issubclass(kind, PlainBackbone) and {'out_indices', 'neck'} & options.keys()
    if len(strides) != len(HEADS_STRIDES) or own_maps:
        return []
    if len(set(strides)) == len(strides) and not issubclass(kind, PlainBackbone):
        return [None]
    is_sample = backbone.stem == 'vit' and head.stem in ('upernet', 'semantic_fpn', 'mask_rcnn')
    return list(NECKS) if is_sample else [BASE / 'necks/multi_level.py']


PAIRS = [
    pytest.param(backbone, neck, head, id='-'.join(base.stem for base in (backbone, neck, head) if base))
    for backbone, head in product(BACKBONES, HEADS)
    for neck in necks_for(backbone, head)
]
SIZES = (64, 96), (96, 75)
DATA = f'num_classes, num_stuff, crop_size = 4, 2, {(max(SIZES[0] + SIZES[1]),) * 2}'
NARROW = {
    **dict(pyramid=16, channels=16, width=32, fc_out_channels=32),
    **dict(num_convs=1, num_groups=4, stacked_convs=1, encoder_layers=1, decoder_layers=2, feedforward=32),
    **dict(num=16, num_queries=8, denoising_queries=4, num_points=64, nms_pre=50, max_per_img=20),
}
"""Numbers that make a head cheap, wherever its base has one of that name."""
FIRST_MAP = (
    *('backbone.out_norms.0.', 'backbone.norm0.', 'backbone.spm.fc1.', 'backbone.up.'),
    *(f'neck.0.{level}.' for level in ('lateral_convs.0', 'convs.0', 'fpn1', 'simfp_2')),
)
"""The norm of the map, or the level of a neck, that pyramids from stride 8 on leave out."""


def pair(backbone: Path, neck: Path | None, head: Path, folder: Path) -> Config:
    """The config of a pair, with a few blocks and channels of the smallest variant of the backbone and narrow heads."""
    path = folder / 'pair.py'
    (folder / 'data.py').write_text(DATA)
    bases = [str(base) for base in (backbone, neck, head, folder / 'data.py') if base]
    path.write_text(f'_base_ = {bases}')
    return load_config(path, narrow_head(head) | shallow_backbone(backbone))


@cache
def shallow_backbone(path: Path) -> dict[str, Any]:
    backbone = Config.fromfile(path).backbone
    if not isinstance(backbone.get('arch'), str):
        return {}
    kind = OWN_MODELS.get(backbone.type)
    plain = dict(blocks=len(HEADS_STRIDES), width=48, heads=3, hidden=0) if issubclass(kind, PlainBackbone) else {}
    return {'backbone.arch': {'_delete_': True, **narrow_arch(kind), **plain}}


@cache
def narrow_head(path: Path) -> dict[str, Any]:
    return {key: narrowed(value, key) for key, value in Config.fromfile(path).items()}


def narrowed(node: Any, name: str = '') -> Any:
    if isinstance(node, Mapping):
        return {key: narrowed(value, key) for key, value in node.items()}
    if isinstance(node, list):
        return [narrowed(item) for item in node]
    return NARROW[name] if name in NARROW and isinstance(node, int) else node


def seg_sample(height: int, width: int) -> SegDataSample:
    sample = SegDataSample(metainfo=dict(img_shape=(height, width), ori_shape=(height, width)))
    sample.gt_sem_seg = PixelData(data=stripes(height, width)[None])
    return sample


def det_sample(height: int, width: int) -> DetDataSample:
    """Things of classes 0 and 1, the second of a single pixel, over stuff of classes 2 and 3; no things in the wide."""
    things = [[5, 9, 41, 50], [30, 20, 31, 21]] if height > width else []
    sample = objects(height, width, things, range(len(things)))
    sample.gt_sem_seg = PixelData(sem_seg=stripes(height, width)[None])
    return sample


def stripes(height: int, width: int) -> torch.Tensor:
    """(H, W) classes 2 and 3 in turn."""
    return 2 + (torch.arange(height)[:, None] // 16 % 2).expand(height, width)


@pytest.mark.no_cover
@pytest.mark.parametrize(('backbone', 'neck', 'head'), PAIRS)
def test_trains_and_predicts(backbone, neck, head, tmp_path):
    torch.manual_seed(0)
    config = pair(backbone, neck, head, tmp_path)
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model)
    if hasattr(model, 'level_embed') or head.stem == 'sparse_rcnn':  # parameters without a value, learned boxes
        model.init_weights()
    make_sample = det_sample if config.default_scope == 'mmdet' else seg_sample
    batches = [
        {'inputs': [torch.randint(0, 255, (3, *size), dtype=torch.uint8)], 'data_samples': [make_sample(*size)]}
        for size in SIZES
    ]
    if head.stem == 'rtmdet':  # it fails on masks, which datasets of boxes do not load
        for batch in batches:
            del batch['data_samples'][0].gt_instances.masks
    check_training_step(model, batches)
    model.eval()
    with torch.no_grad():
        for batch, size in zip(batches, SIZES, strict=True):
            (found,) = model(**model.data_preprocessor(batch), mode='predict')
            if head.stem == 'sparse_rcnn':  # the only head whose boxes reach over the border
                found.pred_instances.bboxes.clamp_(min=0, max=min(size))
            check_prediction(found, *size)


def check_training_step(model, batches: list[dict]) -> None:
    """One of both images together: a finite loss, and a gradient for every parameter that the head asks for."""
    both = {key: [value for batch in batches for value in batch[key]] for key in batches[0]}
    losses = model(**model.data_preprocessor(both, training=True), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total)
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    unreached = [name for name, gradient in gradients.items() if gradient is None]
    assert all(name.startswith(FIRST_MAP) for name in unreached)
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values() if gradient is not None)
    assert next(gradient for name, gradient in gradients.items() if name.startswith('backbone.')).any()


def check_prediction(found, height: int, width: int) -> None:
    """Predictions have the image's size."""
    assert {'pred_instances', 'pred_sem_seg', 'pred_panoptic_seg'} & set(found.keys())
    if 'pred_instances' in found:
        boxes = found.pred_instances.bboxes
        assert ((boxes >= 0) & (boxes <= boxes.new_tensor([width, height, width, height]))).all()
    if 'masks' in found.get('pred_instances', ()):
        assert found.pred_instances.masks.shape[1:] == (height, width)
    if 'pred_sem_seg' in found:
        assert found.pred_sem_seg.data.shape == (1, height, width)
    if 'pred_panoptic_seg' in found:
        assert found.pred_panoptic_seg.sem_seg.shape == (1, height, width)
