"""Stitching layers are fitted before training, and only then."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseDataPreprocessor
from torch import nn

from denseformer.backbones import SNNet
from denseformer.config.errors import ConfigError
from denseformer.engine.hooks import FitStitchesHook

TINY = dict(widths=(8, 16), depths=(2, 2), heads=(2, 2), rank=2, out_indices=(0, 1))


class Data(list):
    """Batches of two images each."""

    def __init__(self, batches: int):
        super().__init__({'inputs': torch.randn(2, 3, 32, 32)} for _ in range(batches))
        self.dataset = range(2 * batches)


class Model(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.backbone = SNNet(arch=TINY, image_size=32, **options)
        self.data_preprocessor = BaseDataPreprocessor()


def run_of(model: nn.Module, **settings) -> SimpleNamespace:
    started = dict(iter=0, cfg={}, logger=logging.getLogger('test'), train_dataloader=Data(4))
    return SimpleNamespace(model=model, **{**started, **settings})


def test_a_new_run_fits_the_layers_to_the_first_images():
    model, fitted = Model(), Model()
    fitted.load_state_dict(model.state_dict())
    runner = run_of(model)
    FitStitchesHook(images=3).before_train(runner)
    images = torch.cat([batch['inputs'] for batch in runner.train_dataloader])[:3]
    fitted.backbone.fit_stitches(images)
    for own, expected in zip(model.parameters(), fitted.parameters(), strict=True):
        assert torch.equal(own, expected)


@pytest.mark.parametrize('settings', [dict(iter=7), dict(cfg=dict(load_from='model.pth'))])
def test_a_run_that_goes_on_keeps_them(settings):
    model = Model()
    before = [parameter.clone() for parameter in model.parameters()]
    FitStitchesHook().before_train(run_of(model, **settings))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_of_a_small_set_all_images_are_taken():
    runner = run_of(Model(), train_dataloader=Data(2))
    assert FitStitchesHook(images=50).first_images(runner).shape == (4, 3, 32, 32)


def test_a_model_without_stitches_is_refused():
    with pytest.raises(ConfigError, match='custom_hooks'):
        FitStitchesHook().before_train(run_of(nn.Linear(2, 2)))
    with pytest.raises(ValueError, match='at least one'):
        FitStitchesHook(images=0)
