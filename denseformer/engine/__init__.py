"""Runs: mmengine's Runner, wrapped for safe checkpoints, exact resuming, preemption, sharding and NaN losses."""

from denseformer.config.errors import ConfigError
from denseformer.config.loading import load_config
from denseformer.engine.hooks import AuxiliaryLossHook, CheckpointHook, NaNGuardHook, PreemptionHook, RestoredImagesHook
from denseformer.engine.initializers import Pretrained
from denseformer.engine.lookahead import LookaheadAdamW
from denseformer.engine.optim import LayerDecayOptimWrapperConstructor
from denseformer.engine.reproducibility import IterationSeedHook
from denseformer.engine.runner import Runner
from denseformer.engine.schedules import TwoStageWarmupLR
from denseformer.engine.trackers import WandbTracker

__all__ = [
    'AuxiliaryLossHook',
    'CheckpointHook',
    'ConfigError',
    'IterationSeedHook',
    'LayerDecayOptimWrapperConstructor',
    'LookaheadAdamW',
    'NaNGuardHook',
    'PreemptionHook',
    'Pretrained',
    'RestoredImagesHook',
    'Runner',
    'TwoStageWarmupLR',
    'WandbTracker',
    'load_config',
]
