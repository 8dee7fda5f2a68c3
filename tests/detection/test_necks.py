"""Necks of published detectors: the authors' outputs, odd sizes, and detectors that learn with them."""

import pytest
import refkit
import torch
from learning import learn, objects, picture
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from denseformer.detection.necks import AttFPN
from denseformer.registry import MODELS

CHANNELS = (256, 512, 1024, 2048)
NARROW = (8, 16, 32, 64)
NECKS = {
    'RCFPN of deformable convolutions': dict(type='denseformer.RCFPN', out_channels=16, norm_cfg=dict(type='BN')),
    'AttFPN': dict(type='denseformer.AttFPN', out_channels=16, num_outs=5, start_level=1, add_extra_convs='on_output'),
}


@pytest.mark.parametrize(
    ('name', 'neck'),
    [
        ('rcnet/rcfpn_conv_nonorm', dict(type='denseformer.RCFPN', num_outs=5, out_conv_cfg=dict(type='Conv2d'))),
        ('sdanet/attfpn_cascade', dict(type='denseformer.AttFPN', out_channels=256, num_outs=5)),
    ],
)
def test_agrees_with_the_authors_code_under_the_authors_names(name, neck):
    def levels(network: nn.Module, image: Tensor) -> list[Tensor]:
        return list(network(tuple(refkit.make_pyramid(image, CHANNELS))))

    assert refkit.check(MODELS.build(dict(neck, in_channels=CHANNELS)), name, levels) < 1e-4


@pytest.mark.parametrize('name', NECKS)
def test_detectors_learn_with_it_and_detect_at_any_size(name):
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(
        ConfigDict(
            type='mmdet.RetinaNet',
            data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=32),
            backbone=dict(type='denseformer.ConvNeXt', arch=dict(width=8, depths=(1, 1, 1, 1))),
            neck=dict(NECKS[name], in_channels=NARROW),
            bbox_head=dict(
                type='RetinaHead',
                num_classes=2,
                in_channels=16,
                feat_channels=16,
                stacked_convs=1,
                anchor_generator=dict(type='AnchorGenerator', strides=[8, 16, 32, 64, 128], ratios=[1.0], scales=[4]),
            ),
            train_cfg=dict(
                assigner=dict(type='MaxIoUAssigner', neg_iou_thr=0.4, pos_iou_thr=0.5), allowed_border=-1, pos_weight=-1
            ),
            test_cfg=dict(nms_pre=50, score_thr=0.0, nms=dict(type='nms', iou_threshold=0.5), max_per_img=10),
        )
    )
    model.init_weights()

    boxes = [[8, 8, 40, 40]]
    image, sample = picture(96, 96, boxes * 3), objects(96, 96, boxes, [1])  # bright in all channels
    batch = model.data_preprocessor(dict(inputs=[image] * 2, data_samples=[sample] * 2), training=True)
    totals = learn(model, batch, steps=8, rate=3e-3)
    assert min(totals[-2:]) < 0.8 * totals[0]
    assert all(p.grad is not None for p in model.neck.parameters())

    model.eval()
    batch = dict(inputs=[image[:, :75, :90]], data_samples=[objects(75, 90, boxes, [1])])
    batch = model.data_preprocessor(batch)
    with torch.no_grad():
        (found,) = model(**batch, mode='predict')
    assert found.pred_instances.bboxes.shape[1] == 4


def test_rcfpn_begins_with_the_average_of_neighbors_and_refuses_what_makes_no_five_levels():
    neck = MODELS.build(dict(type='denseformer.RCFPN', in_channels=NARROW, out_channels=16))
    neck.init_weights()
    assert not neck.fusions[0].gates[0].weight.any()
    assert neck.lateral_convs[0].conv.weight.any()
    for options in (dict(start_level=3), dict(num_outs=4)):
        with pytest.raises(ValueError, match='makes 5 levels'):
            MODELS.build(dict(type='denseformer.RCFPN', in_channels=NARROW, **options))


@pytest.mark.parametrize('neck', ['RCFPN', 'AttFPN'])
def test_levels_lie_at_the_strides_that_the_head_counts_on_or_are_refused(neck):
    strides = dict(in_strides=(8, 16, 32, 64), out_strides=(8, 16, 32, 64, 128))
    options = dict(type=f'denseformer.{neck}', in_channels=NARROW, out_channels=16, num_outs=5)
    maps = [
        torch.rand(2, width, 64 // stride, 96 // stride) for width, stride in zip(NARROW, (1, 2, 4, 8), strict=True)
    ]
    levels = MODELS.build({**options, **strides})(maps)
    assert [level.shape[2] for level in levels] == [64, 32, 16, 8, 4]
    with pytest.raises(ValueError, match=r'maps at the first of them, and these lie at strides \(8, 16, 32, 64\)'):
        MODELS.build({**options, **strides, 'out_strides': (4, 8, 16, 32, 64)})


def test_attfpn_takes_the_maxima_of_finer_levels_that_are_as_high():
    levels = [torch.randn(1, 2, 2, 4), torch.randn(1, 2, 1, 2), torch.randn(1, 2, 1, 1)]
    gathered = AttFPN.gathered(levels, 2)[0, :, :, 0, 0]  # (L, C)
    assert torch.equal(gathered, torch.stack([level.amax((2, 3))[0] for level in levels]))
    assert torch.equal(AttFPN.gathered(levels, 1)[0, 2], levels[2][0].expand(-1, 1, 2))


MMDETECTION = {
    'ChannelMapper': dict(kernel_size=1, norm_cfg=dict(type='GN', num_groups=32), act_cfg=None, num_outs=4),
    'CSPNeXtPAFPN': dict(),
}


@pytest.mark.parametrize(('name', 'num_outs'), [('ChannelMapper', 4), ('CSPNeXtPAFPN', 3)])
def test_makes_of_the_coarsest_maps_what_mmdetection_makes_of_them(name, num_outs):
    maps = refkit.make_pyramid(torch.randn(1, 3, 64, 96), NARROW)
    ours = MODELS.build(dict(type=f'denseformer.{name}', in_channels=NARROW, out_channels=32, num_outs=num_outs))
    theirs = MODELS.build(dict(MMDETECTION[name], type=f'mmdet.{name}', in_channels=list(NARROW[1:]), out_channels=32))
    ours.load_state_dict(theirs.state_dict())
    expected = theirs.eval()(tuple(maps[1:]))
    assert len(expected) == num_outs
    for made, level in zip(ours.eval()(tuple(maps)), expected, strict=True):
        torch.testing.assert_close(made, level)


def test_levels_coarser_than_all_maps_are_made_where_these_are_few():
    maps = refkit.make_pyramid(torch.randn(1, 3, 64, 64), NARROW)
    neck = MODELS.build(dict(type='denseformer.ChannelMapper', in_channels=NARROW, out_channels=64, num_outs=6))
    assert [level.shape[-1] for level in neck(tuple(maps))] == [16, 8, 4, 2, 1, 1]


@pytest.mark.parametrize(('name', 'num_outs'), [('ChannelMapper', 1), ('CSPNeXtPAFPN', 5)])
def test_a_number_of_levels_that_cannot_be_made_is_refused(name, num_outs):
    with pytest.raises(ValueError, match=f'num_outs={num_outs}'):
        MODELS.build(dict(type=f'denseformer.{name}', in_channels=NARROW, out_channels=32, num_outs=num_outs))
