"""A model in parts trains as a whole one does, and its checkpoints go on in any number of processes."""

import os
import signal

import forks
import pytest
import tiny
import torch
import torch._dynamo
import torch._inductor.standalone_compile  # FSDP imports both: once here instead of once per process
from mmengine.registry import MODELS
from torch import nn
from torch.distributed.tensor import DTensor

from denseformer.checkpoints import newest_checkpoint, read_checkpoint
from denseformer.engine import ConfigError
from denseformer.engine.launch import enable_fsdp
from denseformer.options import TrainOptions

tiny.ACTIONS['kill'] = lambda: os.kill(os.getpid(), signal.SIGKILL)


@MODELS.register_module(force=True)
class TinyBlocks(tiny.TinyModel):
    """TinyModel with blocks before it, one of odd width that two ranks do not divide evenly."""

    def __init__(self, **options):
        super().__init__(dropout=0.0, norm=False, **options)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(tiny.LENGTH, width), nn.GELU(), nn.Linear(width, tiny.LENGTH)) for width in (5, 8)
        )

    def forward(self, inputs, data_samples=None, mode='tensor'):
        for block in self.blocks:
            inputs = inputs + block(inputs)
        return super().forward(inputs, data_samples, mode)


def config(folder, ranks: int, *, iters: int = 6, **parts):
    launched = {'launcher': 'pytorch'} if ranks > 1 else {}
    cfg = tiny.config(folder, iters=iters, batch=8 // ranks, ema=False, **launched, **parts)
    cfg.model.type = 'TinyBlocks'
    cfg.fsdp = ranks > 1
    return cfg


def train_in_parts(folder, **options):
    resume = options.pop('resume', False)
    return forks.in_processes(2, lambda rank: tiny.train(config(folder, 2, **options), resume=resume))


def final(folder):
    return read_checkpoint(newest_checkpoint(folder)[0])


def assert_same(one, other):
    for name, value in one['state_dict'].items():
        torch.testing.assert_close(value, other['state_dict'][name], rtol=0, atol=1e-5)
    assert one['optimizer']['param_groups'] == other['optimizer']['param_groups']
    for index, state in one['optimizer']['state'].items():
        for name, value in state.items():
            torch.testing.assert_close(value, other['optimizer']['state'][index][name], rtol=0, atol=1e-5)


def test_two_parts_equal_one_process_and_either_goes_on_from_the_other(tmp_path):
    tiny.train(config(tmp_path / 'one', 1))
    assert train_in_parts(tmp_path / 'two') == [0, 0]
    assert_same(final(tmp_path / 'one'), final(tmp_path / 'two'))
    assert train_in_parts(tmp_path / 'one', iters=9, resume=True) == [0, 0]
    tiny.train(config(tmp_path / 'two', 1, iters=9), resume=True)
    assert final(tmp_path / 'one')['meta']['iter'] == 9
    assert_same(final(tmp_path / 'one'), final(tmp_path / 'two'))


def test_killed_parts_go_on_as_if_nothing_had_happened(tmp_path):
    assert train_in_parts(tmp_path / 'whole') == [0, 0]
    assert train_in_parts(tmp_path / 'cut', record={'at': 4, 'act': 'kill'}) == [-signal.SIGKILL] * 2
    assert train_in_parts(tmp_path / 'cut', resume=True) == [0, 0]
    assert_same(final(tmp_path / 'whole'), final(tmp_path / 'cut'))


def test_each_rank_holds_a_part_and_a_loss_that_is_no_number_stops_all(tmp_path):
    def work(rank):
        runner = tiny.build(config(tmp_path, 2, nan_guard={'skip': 0}, model={'spoil': {'3.png': 'nan'}}))
        parts = [parameter.to_local().numel() for parameter in runner.model.parameters()]
        assert all(isinstance(parameter, DTensor) for parameter in runner.model.parameters())
        assert sum(parts) < 0.7 * sum(parameter.numel() for parameter in runner.model.parameters())
        with pytest.raises(FloatingPointError, match=f'rank_{rank}'):
            runner.train()

    assert forks.in_processes(2, work) == [0, 0]
    for rank in range(2):
        (dump,) = tmp_path.glob(f'nan_*_rank_{rank}.pth')
        weights = read_checkpoint(dump, trust=True)['state_dict']
        assert weights['blocks.0.0.weight'].shape == (5, tiny.LENGTH)


def test_parts_are_compiled_block_by_block(tmp_path):
    tiny.train(config(tmp_path / 'one', 1, iters=2))

    def work(rank):
        cfg = config(tmp_path / 'two', 2, iters=2)
        cfg.compile = dict(backend='aot_eager')
        counters = torch._dynamo.utils.counters
        counters.clear()  # of what was compiled before this process began
        runner, _ = tiny.train(cfg)
        assert counters['stats']['unique_graphs'] == len(runner.model.blocks)
        assert not counters['graph_break']

    assert forks.in_processes(2, work) == [0, 0]
    assert_same(final(tmp_path / 'one'), final(tmp_path / 'two'))


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'launcher': 'none'}, 'start them with torchrun'),
        ({'custom_hooks': [dict(type='EMAHook')]}, 'keeps a second whole model'),
        ({'optim_wrapper.type': 'AmpOptimWrapper'}, 'use --amp bf16'),
    ],
)
def test_what_cannot_be_divided_is_refused(tmp_path, change, words):
    cfg = config(tmp_path, 2)
    cfg.merge_from_dict(change)
    with pytest.raises(ConfigError, match=words):
        enable_fsdp(cfg, TrainOptions(fsdp=True))
