"""Stitching layers are fitted before training, and only then."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseDataPreprocessor
from torch import nn
from torch.utils.data import default_collate

from denseformer.backbones import SNNet
from denseformer.config.errors import ConfigError
from denseformer.engine.hooks import FitStitchesHook
from denseformer.engine.launch import set_stitches
from denseformer.options import TrainOptions

ANCHORS = ('small.pth', 'large.pth')  # which nothing reads here
TINY = dict(widths=(8, 16), depths=(2, 2), heads=(2, 2), rank=2, out_indices=(0, 1))


class Loader:
    """A loader that cannot be iterated: training begins where its sampler does."""

    collate_fn = staticmethod(default_collate)

    def __init__(self, *sides: int):
        self.dataset = [{'inputs': torch.randn(3, side, side)} for side in sides]


class Model(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.backbone = SNNet(arch=TINY, image_size=32, **dict(anchors_pretrained=ANCHORS) | options)
        self.data_preprocessor = BaseDataPreprocessor()


def run_of(model: nn.Module, **settings) -> SimpleNamespace:
    started = dict(iter=0, cfg={}, logger=logging.getLogger('test'), train_dataloader=Loader(32, 32, 48, 32))
    return SimpleNamespace(model=model, **{**started, **settings})


def test_a_new_run_fits_the_layers_to_training_images(caplog):
    caplog.set_level(logging.INFO)
    model, fitted = Model(), Model()
    fitted.load_state_dict(model.state_dict())
    runner = run_of(model)
    FitStitchesHook(images=4).before_train(runner)
    fitted.backbone.fit_stitches([sample['inputs'] for sample in runner.train_dataloader.dataset])
    for own, expected in zip(model.parameters(), fitted.parameters(), strict=True):
        torch.testing.assert_close(own, expected)
    assert '4 training images' in caplog.text


@pytest.mark.parametrize(
    'settings', [dict(iter=7), dict(cfg=dict(load_from='model.pth')), dict(pretrained='model.pth')]
)
def test_a_run_that_goes_on_or_starts_from_the_whole_network_keeps_them(settings):
    model = Model(**{key: settings.pop(key) for key in ('pretrained',) if key in settings})
    before = [parameter.clone() for parameter in model.parameters()]
    FitStitchesHook().before_train(run_of(model, **settings))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_anchors_of_random_weights_are_left_alone(caplog):
    model = Model(anchors_pretrained=None)
    before = [parameter.clone() for parameter in model.parameters()]
    FitStitchesHook().before_train(run_of(model))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert 'anchors_pretrained' in caplog.text


def test_as_many_images_as_asked_for_are_drawn_and_the_same_ones_again():
    runner = run_of(Model(), train_dataloader=Loader(*[32] * 9))
    first, again = (FitStitchesHook(images=3).drawn_images(runner) for _ in range(2))
    assert len(first) == 3
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_of_a_small_set_all_images_are_taken_of_whatever_sizes(caplog):
    caplog.set_level(logging.INFO)
    FitStitchesHook(images=50).before_train(run_of(Model(), train_dataloader=Loader(32, 48)))
    assert '2 training images' in caplog.text


def test_a_set_without_images_is_refused():
    with pytest.raises(ConfigError, match='no image'):
        FitStitchesHook().before_train(run_of(Model(), train_dataloader=Loader()))


def test_training_adds_the_hook_for_pretrained_anchors_beside_those_of_other_bases():
    def hooks(**backbone) -> tuple:
        given = dict(custom_hooks=['another'], default_hooks=dict(logger='kept'))
        config = Config(dict(given, model=dict(backbone=dict(type='denseformer.SNNet', **backbone))))
        set_stitches(config, TrainOptions())
        set_stitches(config, TrainOptions())
        assert config.custom_hooks == ['another']
        assert config.default_hooks.pop('logger') == 'kept'
        return tuple(config.default_hooks.values())

    assert hooks(anchors_pretrained=ANCHORS) == (dict(type='denseformer.FitStitchesHook'),)
    assert hooks(anchors_pretrained=None) == hooks() == ()


@pytest.mark.parametrize('schedule', ['rtdetr_6x', 'mask2former_beit_3x', 'yolo_300e'])
def test_its_base_stands_beside_schedules_that_have_hooks(schedule, tmp_path):
    base = Path(__file__).parents[3] / 'configs/_base_'
    config = tmp_path / 'config.py'
    config.write_text(f'_base_ = [{str(base / "backbones/snnet.py")!r}, {str(base / f"schedules/{schedule}.py")!r}]')
    assert Config.fromfile(config).custom_hooks


def test_a_model_without_stitches_is_refused():
    with pytest.raises(ConfigError, match='no part'):
        FitStitchesHook().before_train(run_of(nn.Linear(2, 2)))
    with pytest.raises(ValueError, match='at least one'):
        FitStitchesHook(images=0)
