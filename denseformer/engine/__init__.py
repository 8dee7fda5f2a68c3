"""What wraps mmengine's Runner: configs, their audit, optimiser settings, runs that survive."""

from denseformer.engine.checkpoint_hook import CheckpointHook
from denseformer.engine.config import ConfigError, load_config
from denseformer.engine.initializers import Pretrained
from denseformer.engine.interruption import InterruptionHook
from denseformer.engine.nonfinite import NonFiniteGuard
from denseformer.engine.optim import RoleOptimWrapperConstructor
from denseformer.engine.repeatable import IterationSeedHook
from denseformer.engine.restored_images import RestoredImagesHook
from denseformer.engine.runner import Runner
from denseformer.engine.trackers import WandbTracker

__all__ = [
    'CheckpointHook',
    'ConfigError',
    'InterruptionHook',
    'IterationSeedHook',
    'NonFiniteGuard',
    'Pretrained',
    'RestoredImagesHook',
    'RoleOptimWrapperConstructor',
    'Runner',
    'WandbTracker',
    'load_config',
]
