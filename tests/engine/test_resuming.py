"""A resumed run follows its config, and says everything that is another than when it began."""

import pytest
import tiny

from denseformer.checkpoints import CheckpointError, newest_checkpoint, read_checkpoint
from denseformer.config.errors import ConfigError
from denseformer.engine.resuming import place_in_epochs


def falling(work_dir, iters, **settings):
    cfg = tiny.config(work_dir, iters=iters, interval=3, ema=False, **settings)
    cfg.param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=1.0, begin=0, end=iters, by_epoch=False)]
    return cfg


def epochs_falling(work_dir, batch):
    cfg = tiny.config(work_dir, epochs=4, interval=1, batch=batch, ema=False)
    cfg.param_scheduler = [
        dict(type='CosineAnnealingLR', eta_min=1e-5, T_max=4, by_epoch=True, convert_to_iter_based=True, end=4)
    ]
    return cfg


def rates(runner):
    return [group['lr'] for group in runner.optim_wrapper.optimizer.param_groups]


def warned(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmengine.logging.MMLogger.warning', lambda self, text, *args, **kwargs: lines.append(str(text))
    )
    return lines


def test_a_finished_run_that_is_prolonged_trains_at_the_rates_of_the_longer_schedule(tmp_path, monkeypatch):
    tiny.train(falling(tmp_path / 'run', 6))
    whole, _ = tiny.train(falling(tmp_path / 'whole', 12))
    lines = warned(monkeypatch)
    runner = tiny.build(falling(tmp_path / 'run', 12), resume=True)
    seen = {}
    record = tiny.record(runner)
    monkeypatch.setattr(record, 'before_train_iter', lambda r, *args, **kwargs: seen.update({r.iter: rates(r)[0]}))
    runner.train()
    assert seen == pytest.approx({i: 0.05 * (1 - i / 12) for i in range(6, 12)}, abs=5e-3)
    assert rates(runner) == pytest.approx(rates(whole), rel=1e-6)
    assert any('train_cfg.max_iters was 6' in line and '12 now' in line for line in lines)


def test_another_rate_and_batch_size_are_named_and_taken(tmp_path, monkeypatch):
    tiny.train(falling(tmp_path, 6))
    cfg = falling(tmp_path, 12, batch=2)
    cfg.optim_wrapper.optimizer.lr = 0.01
    cfg.optim_wrapper.optimizer.weight_decay = 0.2
    lines = warned(monkeypatch)
    runner = tiny.build(cfg, resume=True)
    runner.train()
    group = runner.optim_wrapper.optimizer.param_groups[0]
    assert (group['initial_lr'], group['weight_decay']) == (0.01, 0.2)
    said = ' '.join(lines)
    assert 'optim_wrapper.optimizer.lr was 0.05 in the resumed run and is 0.01 now' in said
    assert 'train_dataloader.batch_size was 3 in the resumed run and is 2 now' in said


def test_a_run_that_goes_on_as_it_was_says_nothing(tmp_path, monkeypatch):
    tiny.train(falling(tmp_path, 6))
    lines = warned(monkeypatch)
    tiny.train(falling(tmp_path, 6), resume=True)
    assert not [line for line in lines if ' was ' in line or 'laid again' in line]


def test_another_optimizer_is_refused_with_the_way_out(tmp_path):
    tiny.train(falling(tmp_path, 3))
    cfg = falling(tmp_path, 6)
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.05)
    with pytest.raises(CheckpointError, match=r'state of AdamW, the config says SGD.*--load-from'):
        tiny.train(cfg, resume=True)


@pytest.mark.parametrize(
    ('parts', 'said'),
    [
        ([dict(type='LinearLR', start_factor=0.1, end=50, by_epoch=False)], True),
        ([dict(type='LinearLR', start_factor=0.1, end=4, by_epoch=False)], False),
        ([dict(type='PolyLR', eta_min=0.0, end=6, by_epoch=False)], False),
        ([dict(type='ConstantLR', factor=0.5, end=50, by_epoch=False)], True),
    ],
    ids=['endless warm-up', 'warm-up', 'falling', 'constant'],
)
def test_a_rate_that_is_never_reached_is_said(tmp_path, monkeypatch, parts, said):
    cfg = tiny.config(tmp_path, iters=6, ema=False)
    cfg.param_scheduler = parts
    lines = warned(monkeypatch)
    tiny.train(cfg)
    assert any('0.05, is never reached' in line for line in lines) == said


def test_a_batch_of_one_under_a_batch_norm_is_met_with_the_ways_out(tmp_path):
    with pytest.raises(ConfigError, match=r'batch_size to 2 or more.*drop_last=True.*norm_cfg='):
        tiny.train(tiny.config(tmp_path, batch=1, ema=False))


@pytest.mark.parametrize('name', ['nan_guard', 'record', 'timer'])
def test_any_hook_is_left_out_by_none(tmp_path, name):
    cfg = tiny.config(tmp_path, ema=False)
    cfg.default_hooks[name] = None
    kinds = [type(hook).__name__ for hook in tiny.build(cfg).hooks]
    assert {'nan_guard': 'NaNGuardHook', 'record': 'RecordHook', 'timer': 'IterTimerHook'}[name] not in kinds


@pytest.mark.parametrize('batch', [2, 6])
def test_epochs_of_another_length_end_at_the_rate_that_they_should(tmp_path, batch):
    """12 samples in batches of 3 are the epochs of four iterations; another number of processes changes both alike."""
    cfg = epochs_falling(tmp_path / 'run', 3)
    cfg.train_cfg.max_epochs = 2
    cfg.param_scheduler[0].end = 4
    tiny.train(cfg)
    runner, losses = tiny.train(epochs_falling(tmp_path / 'run', batch), resume=True)
    whole, all_losses = tiny.train(epochs_falling(tmp_path / 'whole', batch))
    assert sorted(losses) == sorted(all_losses)[len(all_losses) // 2 :]
    assert rates(runner) == pytest.approx(rates(whole), rel=1e-6)
    assert read_checkpoint(newest_checkpoint(tmp_path / 'run')[0])['meta']['epoch'] == 4


@pytest.mark.parametrize(
    ('epoch', 'iteration', 'before', 'now', 'place'),
    [(3, 30, 10, 5, 15), (3, 34, 10, 5, 17), (3, 40, 10, 5, 20), (0, 0, 10, 5, 0), (2, 20, None, 40, 80)],
)
def test_the_share_of_an_epoch_that_was_seen_is_kept(epoch, iteration, before, now, place):
    assert place_in_epochs(epoch, iteration, before, now) == place
