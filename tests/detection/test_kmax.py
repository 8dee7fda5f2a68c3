"""kMaX-DeepLab: its losses, its three tasks, and the authors' names."""

import warnings

import pytest
import refkit
import torch
import torch.nn.functional as F
from learning import learn, objects, picture
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from denseformer.detection.kmax import losses
from denseformer.detection.kmax.keys import remap_official_keys
from denseformer.detection.kmax.losses import Segments
from denseformer.detection.kmax.network import AxialAttention, Prediction, resized
from denseformer.registry import MODELS

BOXES = [[4, 4, 30, 30], [10, 34, 50, 60]]
BACKBONE = dict(type='denseformer.ConvNeXt', arch=dict(width=8, depths=(1, 1, 1, 1)))
HEAD = dict(
    in_channels=(8, 16, 32, 64),
    num_queries=8,
    widths=(16, 8, 8, 8),
    depths=(1, 2, 1, 1),
    layers=(1, 1, 1),
    width=16,
    num_pixels=64,
    drop_path_rate=0.0,
)


def segments(b: int, H: int, W: int) -> Segments:
    masks = torch.zeros(3, H, W)
    masks[0, : H // 2, : W // 2] = 1
    masks[1, : H // 2, W // 2 :] = 1
    masks[2, H // 2 :, : W - 2] = 1
    return Segments(torch.tensor([1 + b, 3, 5]), masks)


def test_losses_agree_with_the_authors_code():
    (run,) = refkit.load_reference('kmax/criterion')['runs']
    N, _, H, W = run['input']

    def values(shape: tuple[int, ...], seed: int) -> Tensor:
        return refkit.make_input(dict(input=(N, *shape), seed=seed, kind='normal'))

    def prediction(seed: int) -> Prediction:
        scores, masks, pixels = values((12, 8), seed), 2 * values((12, H, W), seed + 1), values((16, H, W), seed + 2)
        return Prediction(scores, masks, F.normalize(pixels, dim=1))

    truth = [segments(b, H, W) for b in range(N)]
    final, *others = (prediction(seed) for seed in (10, 20, 30))
    targets = losses.make_targets(final, truth)

    def four(found: Prediction) -> list[Tensor]:
        return [
            losses.class_loss(found.scores, targets),
            losses.mask_loss(found.masks, targets),
            losses.dice_loss(found.masks, targets),
            losses.pixel_loss(found.pixels, targets, 1.5, H * W),
        ]

    labels = torch.stack([losses.label_map(each, 7) for each in truth])
    semantic = losses.semantic_loss(values((8, H, W), 40), labels, losses.sample(targets, 2.0, H * W), 7)
    found = torch.stack([*four(final), semantic, *four(others[0]), *four(others[1])])
    assert refkit.deviation([found], run['outputs']) < 1e-4


@pytest.mark.parametrize('side', [64, 65])
def test_masks_lie_after_enlarging_where_those_lay_that_they_learn_from(side):
    truth = torch.zeros(4, 1, side, side)
    for shift, each in enumerate(truth):
        each[:, 16 + shift : 40 + shift, 16 + shift : 40 + shift] = 1
    learned = losses.subsampled(truth, [(side + 3) // 4] * 2)
    found = resized(learned, (side, side), odd=side % 2) > 0.5
    found, wanted = (each.nonzero().double()[:, 2:].mean(0).tolist() for each in (found, truth))
    assert found == pytest.approx(wanted, abs=0.75)


def sample(height: int, width: int) -> DetDataSample:
    """Two things, and stuff of class 2 around them."""
    found = objects(height, width, BOXES, [0, 1])
    stuff = torch.full((1, height, width), 2)
    stuff[0][torch.from_numpy(found.gt_instances.masks.masks.any(0))] = 255
    found.gt_sem_seg = PixelData(sem_seg=stuff)
    return found


def check_that_it_learns(model: torch.nn.Module, batch: dict) -> None:
    totals = learn(model, batch, steps=8, rate=1e-2)
    assert min(totals[-2:]) < 0.92 * totals[0]
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(('num_stuff', 'semantic'), [(1, 'pyramid'), (0, 'small')], ids=['panoptic', 'instance'])
def test_finds_segments_of_images_of_any_size(num_stuff, semantic):
    init_default_scope('mmdet')
    torch.manual_seed(0)
    classes = dict(num_classes=2 + num_stuff, num_stuff=num_stuff)
    model = MODELS.build(
        ConfigDict(
            type='denseformer.KMaXDeepLab',
            data_preprocessor=dict(
                type='DetDataPreprocessor',
                **dict(mean=[127.5] * 3, std=[127.5] * 3, pad_mask=True, pad_seg=True, pad_size_divisor=65),
            ),
            backbone=dict(BACKBONE, norm_outputs=False, pad_before=True),
            panoptic_head=dict(type='denseformer.KMaXHead', semantic=semantic, **classes, **HEAD),
            panoptic_fusion_head=dict(
                type='denseformer.KMaXFusion', thing_threshold=0.0, stuff_threshold=0.0, **classes
            ),
        )
    )
    image = picture(64, 64, BOXES)
    batch = model.data_preprocessor(dict(inputs=[image] * 2, data_samples=[sample(64, 64)] * 2), training=True)
    check_that_it_learns(model, batch)
    model.eval()
    batch = model.data_preprocessor(dict(inputs=[image[:, :60, :52]], data_samples=[sample(60, 52)]))
    with torch.no_grad():
        (found,) = model(**batch, mode='predict')
    assert found.pred_instances.masks.shape[1:] == (60, 52)
    assert ('pred_panoptic_seg' in found) == bool(num_stuff)
    if num_stuff:
        labels = found.pred_panoptic_seg.sem_seg
        assert labels.shape == (1, 60, 52)
        assert (labels % 1000 <= 3).all()


def test_finds_classes_of_images_of_any_size():
    init_default_scope('mmseg')
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        model = MODELS.build(
            ConfigDict(
                type='denseformer.KMaXSegmentor',
                data_preprocessor=dict(type='SegDataPreProcessor', mean=[127.5] * 3, std=[127.5] * 3, size=(64, 64)),
                backbone=BACKBONE,
                decode_head=dict(type='denseformer.KMaXSemanticHead', num_classes=3, **HEAD),
                test_cfg=dict(mode='whole'),
            )
        )
    labels = torch.zeros(1, 64, 64, dtype=torch.long)
    labels[0, 4:30, 4:30], labels[0, 34:60, 10:50], labels[0, :2] = 1, 2, 255
    samples = [SegDataSample(gt_sem_seg=PixelData(data=labels)) for _ in range(2)]
    batch = dict(inputs=[picture(64, 64, BOXES)] * 2, data_samples=samples)
    check_that_it_learns(model, model.data_preprocessor(batch, training=True))
    model.eval()
    wanted = SegDataSample(metainfo=dict(img_shape=(70, 90), ori_shape=(70, 90)))
    with torch.no_grad():
        (found,) = model(torch.randn(1, 3, 70, 90), [wanted], mode='predict')
    assert found.pred_sem_seg.data.shape == (1, 70, 90)


def test_attention_takes_axes_longer_than_its_tables():
    attention = AxialAttention(8, 8).eval()
    with torch.no_grad():
        assert attention(torch.randn(1, 8, 2, 300)).shape == (1, 16, 2, 300)


def test_layers_are_numbered_at_each_map():
    key = 'predictor._kmax_transformer_layers.{}._predcitor._transformer_class_head.conv.weight'
    names = remap_official_keys({key.format(i): torch.zeros(1) for i in range(4)}, (2, 1, 1))
    assert list(names) == [
        f'decoder.layers.{place}.predictor.classify.weight' for place in ('0.0', '0.1', '1.0', '2.0')
    ]


def test_the_authors_classes_are_put_in_order_things_first():
    layer, final = 'predictor._kmax_transformer_layers.0._predcitor', 'predictor._predcitor'
    given = {
        f'{layer}._transformer_class_head.conv.weight': torch.arange(20.0)[:, None, None],
        f'{final}._transformer_class_head.conv.bias': torch.arange(20.0),
        'predictor._auxiliary_semantic_predictor.2.conv.bias': torch.arange(19.0),  # without one for nothing
    }
    ordered = [*range(11, 19), *range(11), 19]  # Cityscapes' stuff comes before its things there
    weight, bias, semantic = remap_official_keys(given, (2, 2, 2), 19, 11).values()
    assert weight.flatten().tolist() == bias.tolist() == ordered
    assert semantic.tolist() == ordered[:-1]
    unmixed = remap_official_keys(given, (2, 2, 2), 19, 19)
    assert all(torch.equal(value, theirs) for value, theirs in zip(unmixed.values(), given.values(), strict=True))


def test_the_authors_names_of_a_resnet_load():
    init_default_scope('mmdet')
    model = MODELS.build(
        ConfigDict(
            type='denseformer.KMaXDeepLab',
            data_preprocessor=dict(type='DetDataPreprocessor'),
            backbone=dict(type='denseformer.KMaXResNet', depth=18, base_channels=8),
            panoptic_head=dict(
                type='denseformer.KMaXHead', num_classes=2, semantic=None, **{**HEAD, 'in_channels': (8, 16, 32, 64)}
            ),
            panoptic_fusion_head=dict(type='denseformer.KMaXFusion', num_classes=2),
        )
    )
    named = {
        'backbone.stem.conv1.weight': 'backbone.conv1.weight',
        'backbone.stem.conv1.norm.running_var': 'backbone.bn1.running_var',
        'backbone.res2.0.conv1.weight': 'backbone.layer1.0.conv1.weight',
        'backbone.res5.1.conv2.norm.bias': 'backbone.layer4.1.bn2.bias',
        'backbone.res3.0.shortcut.weight': 'backbone.layer2.0.downsample.0.weight',
        'backbone.res3.0.shortcut.norm.weight': 'backbone.layer2.0.downsample.1.weight',
    }
    own = model.state_dict()
    given = {theirs: torch.full_like(own[ours], 0.5) for theirs, ours in named.items()}
    assert not model.load_state_dict(given, strict=False).unexpected_keys
    assert all((model.state_dict()[ours] == 0.5).all() for ours in named.values())


def test_contradictions_are_refused():
    with pytest.raises(ValueError, match='3 maps, 4 widths'):
        MODELS.build(dict(type='denseformer.KMaXHead', in_channels=(8, 16, 32), num_classes=2))
    with pytest.raises(ValueError, match='semantic is'):
        MODELS.build(dict(type='denseformer.KMaXHead', num_classes=2, **{**HEAD, 'semantic': 'large'}))


def test_maps_of_the_stem_come_where_the_official_decoder_reads_them():
    resnet = MODELS.build(dict(type='denseformer.KMaXResNet', depth=18))
    resnet.eval()
    maps = resnet(torch.randn(1, 3, 65, 97))
    assert [found.shape[1] for found in maps] == [64, 64, 128, 256, 512]
    assert not torch.equal(maps[0], maps[1])
    assert maps[1].shape == maps[0].shape
    convnext = MODELS.build(dict(BACKBONE, norm_outputs=False, pad_before=True, return_stem=True)).eval()
    maps = convnext(torch.randn(1, 3, 65, 97))
    assert tuple(found.shape[1] for found in maps) == convnext.out_channels == (8, 8, 16, 32, 64)
    assert convnext.out_strides == (4, 4, 8, 16, 32)
    options = dict(HEAD, in_channels=convnext.out_channels, widths=(16, 8, 8, 8, 8), depths=(1, 1, 1, 1, 1))
    head = MODELS.build(dict(type='denseformer.KMaXHead', num_classes=2, semantic='small', **options)).eval()
    assert head(maps)[-1].masks.shape == (1, 8, *maps[0].shape[2:])
    assert head(maps)[0].masks.shape == (1, 8, *maps[4].shape[2:])
