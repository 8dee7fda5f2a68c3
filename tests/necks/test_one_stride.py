"""Pyramids of maps at one stride: mmsegmentation's and Detectron2's, and what they do with other strides."""

import pytest
import refkit
import torch
from mmseg.models import necks as mmseg_necks
from torch import Tensor

from denseformer.backbones import ViTDet
from denseformer.config.audit import audit
from denseformer.config.loading import load_config
from denseformer.necks import DeconvPyramid, MultiLevelNeck, SimpleFeaturePyramid

LEVELS = (4, 8, 16, 32)
PLAIN = dict(in_channels=(8,) * 4, in_strides=(16,) * 4, out_strides=LEVELS)


def maps(count: int = 4, size: tuple[int, int] = (6, 9), channels: int = 8) -> list[Tensor]:
    return [torch.randn(2, channels, *size) for _ in range(count)]


def test_the_multi_level_neck_is_mmsegmentations():
    own = MultiLevelNeck(**PLAIN, out_channels=12)
    other = mmseg_necks.MultiLevelNeck([8] * 4, 12, scales=[4, 2, 1, 0.5])
    own.load_state_dict(other.state_dict())
    inputs = maps()
    for a, b in zip(own(inputs), other(inputs), strict=True):
        torch.testing.assert_close(a, b)


def test_the_pyramid_of_transposed_convolutions_is_mmsegmentations():
    own = DeconvPyramid(**PLAIN).eval()
    other = mmseg_necks.Feature2Pyramid(8, rescales=[4, 2, 1, 0.5], norm_cfg=dict(type='BN')).eval()
    names = {'upsample_4x.': 'fpn1.', 'upsample_2x.': 'fpn2.'}
    state = other.state_dict()
    for theirs, ours in names.items():
        state = {key.replace(theirs, ours): value for key, value in state.items()}
    own.load_state_dict(state)
    inputs = maps()
    for a, b in zip(own(inputs), other([x.clone() for x in inputs]), strict=True):
        torch.testing.assert_close(a, b)


class Detector(torch.nn.Module):
    """ViTDet's backbone and pyramid, under Detectron2's names."""

    def __init__(self, **options):
        super().__init__()
        self.net = ViTDet(**options)
        self.pyramid = SimpleFeaturePyramid(
            in_channels=self.net.out_channels, in_strides=self.net.out_strides, out_channels=256, out_strides=LEVELS
        )

    def load_state_dict(self, state, strict=True):
        levels = {key: state[key] for key in state if key.startswith('simfp_')}
        self.pyramid.load_state_dict(levels, strict=strict)
        return self.net.load_state_dict(state, strict=False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.pyramid(self.net(image))


def test_vitdet_agrees_with_the_authors_code():
    probe = dict(width=96, blocks=4, heads=4, window=7, global_blocks=(1, 3))
    assert refkit.check(Detector(arch=probe, image_size=256), 'vitdet/probe_96') < 1e-4


def test_levels_beyond_stride_32_leave_out_rows_and_columns():
    neck = SimpleFeaturePyramid(in_channels=(8,), in_strides=(16,), out_channels=4, out_strides=(8, 16, 32, 64))
    levels = neck(maps(1))
    assert [tuple(level.shape[1:]) for level in levels] == [(4, 12, 18), (4, 6, 9), (4, 3, 4), (4, 2, 2)]
    assert torch.equal(levels[3], levels[2][:, :, ::2, ::2])


@pytest.mark.parametrize('kind', [MultiLevelNeck, DeconvPyramid, SimpleFeaturePyramid])
def test_patches_of_14_pixels_make_levels_of_the_strides_asked_for(kind):
    width = {} if kind is DeconvPyramid else dict(out_channels=8)
    neck = kind(**{**PLAIN, 'in_strides': (14,) * 4}, **width)
    for level, stride in zip(neck(maps(size=(16, 32))), LEVELS, strict=True):
        assert [side * stride for side in level.shape[2:]] == [224, 448]


def test_maps_of_several_strides_make_levels_too():
    neck = DeconvPyramid(in_channels=(4, 8, 8, 8), in_strides=(8, 16, 16, 16), out_strides=LEVELS)
    levels = neck([torch.randn(1, 4, 8, 8), *maps(3, (4, 4))[:1] * 3])
    assert [tuple(level.shape[1:]) for level in levels] == [(4, 16, 16), (8, 8, 8), (8, 4, 4), (8, 2, 2)]


def test_one_map_serves_all_levels():
    neck = MultiLevelNeck(in_channels=(8,), in_strides=(16,), out_channels=4, out_strides=LEVELS)
    assert [tuple(level.shape[2:]) for level in neck(maps(1, (4, 4)))] == [(16, 16), (8, 8), (4, 4), (2, 2)]


def test_numbers_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match='2 maps do not make 4 levels'):
        DeconvPyramid(in_channels=(8, 8), in_strides=(16, 16), out_strides=LEVELS)
    with pytest.raises(ValueError, match='There are 3 maps'):
        DeconvPyramid(**PLAIN)(maps(3))


def test_a_config_puts_its_neck_before_the_heads_own(tmp_path):
    bases = ['backbones/dinov2', 'necks/multi_level', 'heads/mask_rcnn']
    path = tmp_path / 'config.py'
    path.write_text(f'_base_ = {[f"denseformer::_base_/{base}.py" for base in bases]}\nnum_classes = 3\n')
    config = load_config(path)
    first, second = config.model.neck
    assert (first.type, second.type) == ('denseformer.MultiLevelNeck', 'denseformer.FPN')
    assert (first.in_channels, first.in_strides) == ((384,) * 4, (14,) * 4)
    assert (second.in_channels, second.in_strides) == ((384,) * 4, [4, 8, 16, 32])
    assert not [finding for finding in audit(config, data=False) if 'neck' in finding.key]
    config.dump(tmp_path / 'dumped.py')
    assert load_config(tmp_path / 'dumped.py').model.neck == config.model.neck
