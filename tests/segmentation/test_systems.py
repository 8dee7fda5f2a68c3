"""Published systems: the authors' outputs with the authors' names, training, and predictions at any size."""

import math
import warnings
from typing import NamedTuple

import pytest
import refkit
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from denseformer.layers import Mlp, PreNormBlock, ShiftedWindowAttention
from denseformer.registry import MODELS
from denseformer.segmentation.segmentor import label_borders
from denseformer.segmentation.unet_swin import attend, run_openly

CROSS_ENTROPY = dict(type='mmseg.CrossEntropyLoss', loss_weight=1.0)
PYRAMID = dict(type='denseformer.ConvNeXt', arch=dict(width=8, depths=(1, 1, 1, 1)))
CHANNELS = (8, 16, 32, 64)


class System(NamedTuple):
    """backbone, decode_head: as in a config; classes: how many are told apart."""

    backbone: dict
    decode_head: dict


def border_losses() -> list[dict]:
    hard = dict(type='mmseg.OhemCrossEntropy', thres=0.9, min_kept=1000)
    return [CROSS_ENTROPY, hard, dict(type='mmseg.BoundaryLoss', loss_weight=1.0), hard]


def bevanet(arch, width: int, channels: int, num_classes: int) -> System:
    options = dict(in_channels=4 * width, channels=channels, dropout_ratio=0.0, loss_decode=border_losses())
    return System(
        dict(type='denseformer.BEVANet', arch=arch),
        dict(type='denseformer.BEVANetHead', num_classes=num_classes, norm_cfg=dict(type='BN'), **options),
    )


TINY_BEVANET = dict(
    width=8, depths=(1, 2, 2, 1, 1), semantic_kernels=(0, 7, 11), detail_kernels=(0, 7), pooling_width=8, mlp_ratio=2
)
PUBLISHED = {
    'attswinunet/spatial_attention_only': System(
        dict(type='denseformer.UNetSwin', stage_inputs=True),
        dict(
            type='denseformer.AttSwinUNetHead',
            in_channels=(96, 192, 384, 768),
            num_classes=9,
            cross_levels=0,
            join_twice=True,
        ),
    ),
    'bevanet/bevanet_s': bevanet('small', 32, 128, 19),
    'p2at/p2at_s': System(
        dict(type='mmseg.ResNet', depth=18),
        dict(type='denseformer.P2ATHead', in_channels=(64, 128, 256, 512), num_classes=19, align_corners=True),
    ),
    'hbformer/hbformer_synapse': System(
        dict(type='denseformer.UNetSwin'),
        dict(type='denseformer.HBFormerHead', in_channels=(96, 192, 384, 768), num_classes=9),
    ),
}
SMALL = {
    'BEVANet': bevanet(TINY_BEVANET, 8, 8, 3),
    'P2AT': System(PYRAMID, dict(type='denseformer.P2ATHead', in_channels=CHANNELS, channels=16, num_classes=3)),
    'UNetFormer': System(
        PYRAMID,
        dict(
            type='denseformer.UNetFormerHead',
            in_channels=CHANNELS,
            channels=16,
            heads=2,
            num_classes=3,
            loss_decode=[
                dict(type='denseformer.SmoothCrossEntropy'),
                dict(type='denseformer.DiceLoss'),
            ],
            loss_auxiliary=dict(type='denseformer.SmoothCrossEntropy', loss_weight=0.4),
        ),
    ),
    'HBFormer': System(
        PYRAMID,
        dict(
            type='denseformer.HBFormerHead',
            in_channels=CHANNELS,
            channels=8,
            num_classes=3,
            loss_decode=[dict(type='denseformer.DiceLoss'), dict(type='denseformer.FocalLoss')],
        ),
    ),
    'FaceXFormer': System(
        PYRAMID,
        dict(
            type='denseformer.FaceXFormerHead',
            in_channels=CHANNELS,
            channels=64,
            heads=4,
            hidden=64,
            num_classes=3,
            loss_decode=[CROSS_ENTROPY, dict(type='denseformer.DiceLoss')],
        ),
    ),
    'Att-SwinU-Net': System(
        PYRAMID,
        dict(
            type='denseformer.AttSwinUNetHead',
            in_channels=CHANNELS,
            depths=(1, 2, 1),
            heads=(1, 2, 4),
            num_classes=3,
            loss_decode=[CROSS_ENTROPY, dict(type='denseformer.DiceLoss')],
        ),
    ),
    'ParaTransCNN': System(
        dict(type='denseformer.ParaTransCNN', width=16, depths=(1, 1, 1), heads=2, conv_width=16),
        dict(type='denseformer.ParaTransCNNHead', in_channels=(48, 96, 192), channels=16, num_classes=3),
    ),
}
VARIANTS = {
    'Att-SwinU-Net of Swin': System(
        dict(
            type='denseformer.UNetSwin', arch=dict(width=8, depths=(1, 1, 1, 1), heads=(1, 1, 1, 1)), stage_inputs=True
        ),
        dict(
            type='denseformer.AttSwinUNetHead', in_channels=CHANNELS, depths=(1, 1, 1), heads=(1, 1, 1), num_classes=3
        ),
    ),
    'Att-SwinU-Net of both attentions': System(
        dict(
            type='denseformer.UNetSwin',
            arch=dict(width=8, depths=(2, 1, 1, 1), heads=(2, 1, 1, 1)),
            stage_inputs=True,
            show_attention=True,
        ),
        dict(
            type='denseformer.AttSwinUNetHead',
            in_channels=CHANNELS,
            depths=(2, 2, 1),
            heads=(2, 1, 1),
            num_classes=3,
            spatial_attention=True,
        ),
    ),
    'HBFormer of Swin': System(
        dict(type='denseformer.UNetSwin', arch=dict(width=8, depths=(1, 1, 1, 1), heads=(1, 1, 1, 1))),
        dict(type='denseformer.HBFormerHead', in_channels=CHANNELS, channels=8, num_classes=3),
    ),
    'BEVANet of attention': bevanet({**TINY_BEVANET, 'semantic_kernels': (7, 7, 0), 'detail_kernels': (7, 0)}, 8, 8, 3),
    'P2AT of three pools': System(
        PYRAMID,
        dict(type='denseformer.P2ATHead', in_channels=CHANNELS, channels=16, num_classes=3, distinct_pools=True),
    ),
}
OUTPUTS = {'bevanet/bevanet_s': (0, 1, 2), 'p2at/p2at_s': (1, 0, 2)}
"""In which order a reference has what a head returns while training; others have its one result."""


@pytest.fixture(autouse=True)
def default_scope():
    init_default_scope('mmseg')


def build(system: System) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # mmsegmentation's, of averages over ignored pixels
        return MODELS.build(
            dict(
                type='denseformer.Segmentor',
                data_preprocessor=dict(type='mmseg.SegDataPreProcessor'),
                backbone=system.backbone,
                decode_head=system.decode_head,
                test_cfg=ConfigDict(mode='whole'),
            )
        )


@pytest.mark.parametrize('name', PUBLISHED)
def test_agrees_with_the_authors_code_under_the_authors_names(name):
    def outputs(model: nn.Module, image: Tensor) -> list[Tensor]:
        order = OUTPUTS.get(name)
        if order is not None:
            model.backbone.training = model.decode_head.training = True  # the parts stay as they are
        found = model.decode_head(model.backbone(image))
        found = [found] if order is None else [found[i] for i in order]
        (run,) = (run for run in refkit.load_reference(name)['runs'] if run['input'] == list(image.shape))
        align = model.decode_head.align_corners
        sizes = [each['shape'][2:] for each in run['outputs']]
        return [resize(x, size, mode='bilinear', align_corners=align) for x, size in zip(found, sizes, strict=True)]

    assert refkit.check(build(PUBLISHED[name]), name, outputs) < 1e-4


def two_images() -> tuple[Tensor, list[SegDataSample]]:
    """Images (2, 3, 64, 64) of three colors, with the stripes and the square that are their classes."""
    labels = 1 + (torch.arange(64)[:, None] // 16 % 2).expand(64, 64)
    labels = torch.stack([labels, labels.T])
    labels[:, :20, :20] = 0
    images = torch.eye(3)[labels].permute(0, 3, 1, 2) + 0.1 * torch.randn(2, 3, 64, 64)
    return images, [SegDataSample(gt_sem_seg=PixelData(data=each[None])) for each in labels]


def train_once(model: nn.Module) -> float:
    images, samples = two_images()
    total, _ = model.parse_losses(model(images, samples, mode='loss'))
    total.backward()
    assert all(p.grad is not None for p in model.parameters())
    return total.item()


def validation_loss(model: nn.Module) -> float:
    images, samples = two_images()
    with torch.no_grad():
        return model.eval().parse_losses(model(images[:1], samples[:1], mode='loss'))[0].item()


def predict(model: nn.Module, height: int, width: int) -> SegDataSample:
    model.eval()
    sample = SegDataSample(metainfo=dict(img_shape=(height, width), ori_shape=(height, width)))
    with torch.no_grad():
        return model(torch.randn(1, 3, height, width), [sample], mode='predict')[0]


def test_unetformers_decoder_agrees_with_the_authors_code():
    channels = (64, 128, 256, 512)
    head = MODELS.build(dict(type='denseformer.UNetFormerHead', in_channels=channels, num_classes=6))

    def scores(head: nn.Module, image: Tensor) -> Tensor:
        return resize(head(refkit.make_pyramid(image, channels)), image.shape[2:], mode='bilinear')

    assert refkit.check(head, 'unetformer/decoder_resnet18', scores) < 1e-4


@pytest.mark.parametrize('system', [*SMALL.values(), *VARIANTS.values()], ids=[*SMALL, *VARIANTS])
def test_trains_every_parameter_and_has_a_validation_loss_and_predicts_at_any_size(system):
    model = build(system)
    assert math.isfinite(train_once(model))
    assert 0 < validation_loss(model) < math.inf
    assert predict(model, 75, 98).pred_sem_seg.data.shape == (1, 75, 98)


def test_the_authors_names_of_attswinunets_exchange_load():
    model = build(VARIANTS['Att-SwinU-Net of Swin'])
    own = model.state_dict()
    named = {
        'decoder.Crossvit_layer.2.layers.1.0.fn.norm.weight': 'stages.0.cross.layers.1.0.norm.weight',
        'decoder.Crossvit_layer.0.layers.0.1.fn.fn.to_kv.weight': 'stages.2.cross.layers.0.1.to_kv.weight',
        'decoder.Crossvit_layer.1.layers.0.1.fn.fn.to_out.0.bias': 'stages.1.cross.layers.0.1.to_out.bias',
    }
    given = {theirs: torch.full_like(own[f'decode_head.{ours}'], 0.5) for theirs, ours in named.items()}
    assert not model.load_state_dict(given, strict=False).unexpected_keys
    assert all((model.state_dict()[f'decode_head.{ours}'] == 0.5).all() for ours in named.values())


def test_paratranscnns_resnet_starts_from_torchvisions():
    backbone = MODELS.build(SMALL['ParaTransCNN'].backbone)
    names = 'conv1.weight', 'bn1.running_var', 'layer1.0.conv1.weight', 'layer4.0.downsample.1.bias'
    own = backbone.cnn.state_dict()
    given = {name: torch.full_like(own[name], 0.5) for name in names}
    assert not backbone.load_state_dict(given, strict=False).unexpected_keys
    assert all((backbone.cnn.state_dict()[name] == 0.5).all() for name in names)


def test_blocks_of_attswinunet_may_mix_by_their_weights_and_others():
    block = PreNormBlock(8, ShiftedWindowAttention(8, 2, window=4, shift=2), Mlp(8, 16), drop_path=0.0).eval()
    x = torch.randn(2, 9, 13, 8)
    with torch.no_grad():
        found, weights = run_openly(block, x)
        torch.testing.assert_close(found, block(x))
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
        attended = attend(block.attn, x)[0] - block.attn.proj.bias
        doubled = attend(block.attn, x, attend(block.attn, x)[1])[0] - block.attn.proj.bias
        torch.testing.assert_close(doubled, 2 * attended)
        with pytest.raises(ValueError, match='the window and the heads of the decoder'):
            run_openly(block, x, weights[:, :1])


def test_an_encoder_that_does_not_show_its_attention_is_refused():
    head = MODELS.build(dict(VARIANTS['Att-SwinU-Net of both attentions'].decode_head))
    with pytest.raises(ValueError, match='show_attention=True'):
        head(refkit.make_pyramid(torch.randn(1, 3, 64, 64), CHANNELS))
    with pytest.raises(ValueError, match='stage_inputs=True'):
        MODELS.build(dict(type='denseformer.UNetSwin', show_attention=True))


def test_own_weights_load_as_they_are():
    first, second = build(SMALL['P2AT']), build(SMALL['P2AT'])
    assert not any(second.load_state_dict(first.state_dict()))
    assert torch.equal(second.decode_head.conv_seg.weight, first.decode_head.conv_seg.weight)


def test_borders_are_where_labels_change():
    labels = torch.zeros(1, 8, 12, dtype=torch.long)
    labels[:, :, 6:] = 2
    assert label_borders(labels)[0].tolist() == [[0.0] * 4 + [1.0] * 4 + [0.0] * 4] * 8


def test_smooth_labels_average_over_labelled_pixels():
    loss = MODELS.build(dict(type='denseformer.SmoothCrossEntropy', smoothing=0.2, loss_weight=2.0))
    scores = torch.randn(1, 4, 2, 2)
    labels = torch.tensor([[[0, 255], [255, 3]]])
    logs = scores.log_softmax(1)
    each = [
        -(0.85 * logs[0, c, y, x] + 0.05 * (logs[0, :, y, x].sum() - logs[0, c, y, x]))
        for c, y, x in [(0, 0, 0), (3, 1, 1)]
    ]
    assert loss(scores, labels).item() == pytest.approx(sum(each).item())
    assert loss(scores, torch.full_like(labels, 255)).item() == 0


@pytest.mark.parametrize('name', ['P2ATHead', 'UNetFormerHead', 'HBFormerHead', 'AttSwinUNetHead', 'ParaTransCNNHead'])
def test_other_numbers_of_maps_are_refused(name):
    with pytest.raises(ValueError, match='maps, in_channels'):
        MODELS.build(dict(type=f'denseformer.{name}', in_channels=(8, 16), num_classes=2))
