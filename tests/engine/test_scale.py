"""Options that change the cost of a step, and not its result: precision, checkpointing, batch size, normalisation."""

import os
import signal
from functools import partial

import forks
import pytest
import tiny
import torch
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.registry import MODELS
from torch import nn

from denseformer.checkpoints import newest_checkpoint, read_checkpoint
from denseformer.engine import ConfigError, load_config
from denseformer.engine.launch import scale_learning_rate
from denseformer.options import TrainOptions

SCALED = TrainOptions(auto_scale_lr=True)
CONFIG = 'configs/upernet_dinat_nano_sample.py'

tiny.ACTIONS['kill'] = lambda: os.kill(os.getpid(), signal.SIGKILL)


def final(folder):
    return read_checkpoint(newest_checkpoint(folder)[0])


def test_the_loss_scaler_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(amp_optimizer_wrapper, 'GradScaler', partial(torch.amp.GradScaler, device='cpu'))
    scaler = dict(init_scale=1024.0, growth_interval=2)
    optim = {'type': 'AmpOptimWrapper', 'dtype': 'bfloat16', 'loss_scale': scaler}
    settings = dict(iters=8, interval=3, optim=optim)
    _, losses = tiny.train(tiny.config(tmp_path / 'whole', **settings))
    cut = tiny.config(tmp_path / 'cut', **settings, record={'at': 5, 'act': 'kill'})
    assert forks.in_child(lambda: tiny.train(cut)) == -signal.SIGKILL
    _, resumed = tiny.train(tiny.config(tmp_path / 'cut', **settings), resume=True)
    assert resumed == {i: losses[i] for i in range(4, 9)}
    whole, again = (final(tmp_path / name)['optimizer']['loss_scaler'] for name in ('whole', 'cut'))
    assert whole == again
    assert whole['scale'] == 1024.0 * 2**4


def test_bfloat16_changes_losses_by_its_rounding_and_leaves_weights_whole(tmp_path):
    model = {'dropout': 0.0}
    _, exact = tiny.train(tiny.config(tmp_path / 'exact', model=model))
    optim = {'type': 'denseformer.BFloat16OptimWrapper'}
    runner, losses = tiny.train(tiny.config(tmp_path / 'rounded', model=model, optim=optim))
    assert losses != exact
    assert losses == pytest.approx(exact, rel=0.05)
    assert {parameter.dtype for parameter in runner.model.parameters()} == {torch.float32}


def test_activation_checkpointing_leaves_gradients_as_they_are():
    image = torch.randn(1, 3, 64, 96)

    def gradients(with_cp: bool) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        backbone = MODELS.build(load_config(CONFIG, {'backbone.with_cp': with_cp}).backbone).train()
        torch.manual_seed(1)
        sum(maps.square().mean() for maps in backbone(image)).backward()
        return {name: parameter.grad for name, parameter in backbone.named_parameters()}

    plain, saved = gradients(False), gradients(True)
    assert list(plain) == list(saved)
    for name, gradient in plain.items():
        torch.testing.assert_close(saved[name], gradient, rtol=0, atol=1e-6, msg=name)


def test_the_learning_rate_follows_the_global_batch(tmp_path):
    def work(rank):
        cfg = tiny.config(tmp_path, iters=1, batch=2, launcher='pytorch')
        cfg.auto_scale_lr = dict(enable=False, base_batch_size=16)
        scale_learning_rate(cfg, SCALED)
        runner, _ = tiny.train(cfg)
        (group,) = runner.optim_wrapper.optimizer.param_groups
        assert group['initial_lr'] == pytest.approx(0.05 * 2 * 2 / 16)

    assert forks.in_processes(2, work) == [0, 0]


def test_a_learning_rate_without_its_batch_size_is_named():
    config = load_config(CONFIG)
    scale_learning_rate(config, SCALED)
    assert config.auto_scale_lr == dict(enable=True, base_batch_size=4)
    config.auto_scale_lr = None
    with pytest.raises(ConfigError, match='Add auto_scale_lr'):
        scale_learning_rate(config, SCALED)


def test_another_batch_leaves_the_one_that_the_learning_rate_is_for():
    config = load_config('configs/swinir_light_x2_div2k.py', {'batch_size': 2})
    assert (config.train_dataloader.batch_size, config.auto_scale_lr.base_batch_size) == (2, 64)


@pytest.mark.parametrize('fsdp', [False, True])
def test_synchronised_normalisation_is_plain_on_cpus(tmp_path, fsdp):
    def work(rank):
        cfg = tiny.config(tmp_path, iters=1, batch=2, launcher='pytorch', ema=False)
        cfg.update(sync_bn='torch', fsdp=fsdp)
        runner, losses = tiny.train(cfg)
        kinds = {
            type(module) for module in runner.model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)
        }
        assert losses
        assert len(kinds) == 1
        assert not issubclass(kinds.pop(), nn.SyncBatchNorm)

    assert forks.in_processes(2, work) == [0, 0]
