"""Real-time segmentors beside mmsegmentation's, with the weights they begin with: class scores of a whole frame."""

import warnings
from collections.abc import Callable, Iterator
from functools import partial

import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor

from benchmarks.harness import Comparison, Contender
from denseformer.layers import fuse_conv_norm

SIZES = ((360, 480), (512, 1024))
CLASSES = 19
NORM = dict(type='BN')
BORDER_LOSSES = [
    dict(type=kind) for kind in ('CrossEntropyLoss', 'OhemCrossEntropy', 'BoundaryLoss', 'OhemCrossEntropy')
]
BORDER_HEAD = dict(in_channels=128, channels=128, num_classes=CLASSES, norm_cfg=NORM, loss_decode=BORDER_LOSSES)
SEGMENTORS = {
    'BEVANet-S': (
        dict(type='denseformer.BEVANet', arch='small'),
        dict(BORDER_HEAD, type='denseformer.BEVANetHead'),
    ),
    'P2AT-S': (
        dict(type='mmseg.ResNet', depth=18),
        dict(type='denseformer.P2ATHead', in_channels=(64, 128, 256, 512), num_classes=CLASSES, align_corners=True),
    ),
    "mmseg's PIDNet-S": (
        dict(
            type='mmseg.PIDNet',
            channels=32,
            ppm_channels=96,
            num_stem_blocks=2,
            num_branch_blocks=3,
            align_corners=False,
            norm_cfg=NORM,
        ),
        dict(BORDER_HEAD, type='mmseg.PIDHead'),
    ),
    "mmseg's DDRNet-23-slim": (
        dict(type='mmseg.DDRNet', in_channels=3, channels=32, ppm_channels=128, norm_cfg=NORM, align_corners=False),
        dict(
            type='mmseg.DDRHead',
            in_channels=128,
            channels=64,
            num_classes=CLASSES,
            norm_cfg=NORM,
            loss_decode=[dict(type='CrossEntropyLoss')] * 2,
        ),
    ),
}


def build(name: str) -> torch.nn.Module:
    backbone, head = SEGMENTORS[name]
    init_default_scope('mmseg')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of averages over ignored pixels
        model = MODELS.build(
            dict(
                type='denseformer.Segmentor',
                data_preprocessor=dict(type='SegDataPreProcessor'),
                backbone=backbone,
                decode_head=head,
                test_cfg=ConfigDict(mode='whole'),
            )
        )
    return model.eval()


def prediction(name: str, size: tuple[int, int], *, fused: bool = False) -> Callable[[], Tensor]:
    model = build(name)
    if fused:
        fuse_conv_norm(model)
    frame = torch.randn(1, 3, *size)
    metas = [dict(img_shape=size, ori_shape=size)]

    @torch.inference_mode()
    def predict() -> Tensor:
        return model.encode_decode(frame, metas)

    return predict


def comparisons() -> Iterator[Comparison]:
    for size in SIZES:
        for name in ('BEVANet-S', 'P2AT-S'):
            peers = [other for other in SEGMENTORS if other != name]
            yield Comparison(
                f'{name}, a frame of {size[1]} x {size[0]}',
                (
                    Contender(name, partial(prediction, name, size)),
                    Contender(f'{name}, norms fused', partial(prediction, name, size, fused=True)),
                    *(Contender(peer, partial(prediction, peer, size)) for peer in peers),
                ),
            )
