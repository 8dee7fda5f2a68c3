"""A run small enough for dozens of them: a linear model with dropout and BatchNorm on noise, augmented at random."""

import os
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot  # noqa: F401 (mmengine imports it late: once here instead of in each forked process)
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS
from mmengine.structures import BaseDataElement
from torch import nn

from denseformer.engine import launch
from denseformer.options import TrainOptions

LENGTH = 8


@MODELS.register_module(force=True)
class TinyModel(BaseModel):
    """`loss` of a two-layer network; `spoil` adds what is named to the loss of the sample of that file."""

    def __init__(self, spoil: dict | None = None, dropout: float = 0.5, norm: bool = True):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(LENGTH, 4), nn.BatchNorm1d(4) if norm else nn.Identity())
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(4, 1))
        self.spoil = spoil or {}

    def forward(self, inputs, data_samples=None, mode='tensor'):
        out = self.head(self.body(inputs))
        if mode != 'loss':
            return data_samples
        spoilt = [float(self.spoil.get(Path(sample.img_path).name, 1)) for sample in data_samples]
        return {'loss': (out.square().squeeze(1) * torch.tensor(spoilt)).mean()}


@DATASETS.register_module(force=True)
class TinyDataset(BaseDataset):
    """As many samples as asked for; each access adds noise, as augmentation does."""

    def __init__(self, length: int = 12, noise: float = 1.0, metainfo: dict | None = None):
        self.length, self.noise = length, noise
        super().__init__(serialize_data=False, metainfo=metainfo)

    def load_data_list(self):
        return [{'img_path': f'folder/{index}.png'} for index in range(self.length)]

    def prepare_data(self, idx):
        info = self.get_data_info(idx)
        base = np.random.default_rng(idx).normal(size=LENGTH)
        noise = np.random.normal(size=LENGTH) + torch.randn(LENGTH).numpy()
        inputs = torch.tensor(base + self.noise * noise, dtype=torch.float32)
        return {'inputs': inputs, 'data_samples': BaseDataElement(metainfo=info)}


@METRICS.register_module(force=True)
class TinyMetric(BaseMetric):
    """Counts samples; the count is as good as any score."""

    def process(self, data_batch, data_samples):
        self.results += list(data_samples)

    def compute_metrics(self, results):
        return {'acc': float(len(results))}


@HOOKS.register_module(force=True)
class RecordHook(Hook):
    """Keeps each iteration's loss, and calls `act` (a function's name in ACTIONS) after the iteration `at`."""

    priority = 'NORMAL'

    def __init__(self, at: int = -1, act: str = ''):
        self.at, self.act = at, act
        self.losses: dict[int, float] = {}
        self.files: dict[int, list[str]] = {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses[runner.iter + 1] = outputs['loss'].item()
        self.files[runner.iter + 1] = [sample.img_path for sample in data_batch['data_samples']]
        if runner.iter + 1 == self.at:
            ACTIONS[self.act]()


ACTIONS: dict[str, Callable[[], None]] = {}


def config(work_dir, *, epochs=None, iters=6, interval=3, workers=0, batch=3, launcher='none', **parts) -> Config:
    """The config of a tiny run; `parts` are the model's, the dataset's and the hooks' settings."""
    loop = dict(by_epoch=True, max_epochs=epochs) if epochs else dict(by_epoch=False, max_iters=iters)
    sampler = dict(type='DefaultSampler' if epochs else 'InfiniteSampler', shuffle=True)
    by_epoch = bool(epochs)
    loader = dict(batch_size=batch, num_workers=workers, collate_fn=dict(type='default_collate'))
    return Config(
        dict(
            default_scope='mmengine',
            work_dir=str(work_dir),
            launcher=launcher,
            model=dict(type='TinyModel', **parts.get('model', {})),
            train_dataloader=dict(**loader, dataset=dict(type='TinyDataset', **parts.get('data', {})), sampler=sampler),
            train_cfg=loop,
            optim_wrapper=dict(
                optimizer=dict(type='AdamW', lr=0.05, weight_decay=0.1),
                clip_grad=dict(max_norm=1.0),
                **parts.get('optim', {}),
            ),
            param_scheduler=[dict(type='LinearLR', start_factor=0.1, begin=0, end=10, by_epoch=by_epoch)],
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=by_epoch),
                checkpoint=dict(
                    type='denseformer.CheckpointHook', by_epoch=by_epoch, interval=interval, max_keep_ckpts=2
                ),
                iteration_seed=dict(type='denseformer.IterationSeedHook'),
                nan_guard=dict(type='denseformer.NaNGuardHook', **parts.get('nan_guard', {})),
                preemption=dict(type='denseformer.PreemptionHook', **parts.get('preemption', {})),
                record=dict(type='RecordHook', **parts.get('record', {})),
            ),
            custom_hooks=[dict(type='EMAHook', momentum=0.1)] if parts.get('ema', True) else [],
            env_cfg=dict(dist_cfg=dict(backend='gloo')),
            log_level='WARNING',
            randomness=dict(seed=parts.get('seed', 7)),
        )
    )


def with_validation(cfg: Config, interval: int, length: int = 3, **checkpoint) -> Config:
    """A run of `cfg` that is validated every `interval` iterations."""
    loader = dict(batch_size=1, num_workers=0, collate_fn=dict(type='default_collate'))
    dataset = dict(type='TinyDataset', length=length)
    cfg.val_dataloader = dict(**loader, dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=False))
    cfg.val_cfg, cfg.val_evaluator = dict(), dict(type='TinyMetric')
    cfg.train_cfg.val_interval = interval
    cfg.default_hooks.checkpoint.update(checkpoint)
    return cfg


def build(cfg: Config, *, resume: str | bool = False):
    """The Runner of a tiny run."""
    cfg.experiment_name = f'tiny_{os.getpid()}_{len(MessageHub._instance_dict)}'
    return launch.build_runner(cfg, TrainOptions(resume=resume, launcher=cfg.launcher))


def train(cfg: Config, *, resume: str | bool = False):
    """Train; return the Runner and the losses by iteration."""
    runner = build(cfg, resume=resume)
    runner.train()
    return runner, record(runner).losses


def record(runner) -> RecordHook:
    return next(hook for hook in runner.hooks if isinstance(hook, RecordHook))
