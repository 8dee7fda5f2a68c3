"""Losses of a model's parts are trained on and logged like those of its heads."""

import pytest
import tiny
import torch
from mmengine.model import BaseModel
from torch import nn

from denseformer.engine import AuxiliaryLossHook


class Part(nn.Module):
    """A linear layer that also wants its output small."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x):
        self.out = self.linear(x)
        return self.out

    def auxiliary_losses(self):
        return {'loss_size': self.out.square().mean()}


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.part = Part()

    def forward(self, x, mode='loss'):
        out = self.part(x)
        return {'loss_head': out.mean()} if mode == 'loss' else out


class Runner:
    def __init__(self, model):
        self.model = model


@pytest.fixture
def hooked():
    runner, hook = Runner(Model()), AuxiliaryLossHook()
    hook.before_train(runner)
    return runner, hook


def test_a_parts_loss_joins_the_models_and_their_sum(hooked):
    runner, _ = hooked
    losses = runner.model(torch.randn(2, 3))
    assert set(losses) == {'loss_head', 'part.loss_size'}
    total, logged = runner.model.parse_losses(losses)
    torch.testing.assert_close(total, losses['loss_head'] + losses['part.loss_size'])
    assert 'part.loss_size' in logged


def test_predictions_and_evaluation_are_left_alone(hooked):
    runner, _ = hooked
    assert torch.is_tensor(runner.model(torch.randn(2, 3), mode='tensor'))
    assert set(runner.model.eval()(torch.randn(2, 3))) == {'loss_head'}


def test_nothing_is_left_behind_on_exit(hooked):
    runner, hook = hooked
    hook.on_exit(runner)
    assert set(runner.model(torch.randn(2, 3))) == {'loss_head'}


def test_a_run_of_a_model_without_such_parts_is_not_changed(tmp_path):
    runner, losses = tiny.train(tiny.config(tmp_path, iters=2))
    assert len(losses) == 2
    assert not runner.model._forward_hooks
