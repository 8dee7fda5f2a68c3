"""What wraps mmengine's Runner: configs, their audit, optimiser settings, runs that survive."""

from denseformer.config.loading import ConfigError, load_config
from denseformer.engine.auxiliary_losses import AuxiliaryLossHook
from denseformer.engine.checkpoint_hook import CheckpointHook
from denseformer.engine.initializers import Pretrained
from denseformer.engine.nan_guard import NonFiniteGuard
from denseformer.engine.optim import LayerDecayOptimWrapperConstructor
from denseformer.engine.preemption import InterruptionHook
from denseformer.engine.restored_images import RestoredImagesHook
from denseformer.engine.runner import Runner
from denseformer.engine.trackers import WandbTracker
from denseformer.seeding import IterationSeedHook

__all__ = [
    'AuxiliaryLossHook',
    'CheckpointHook',
    'ConfigError',
    'InterruptionHook',
    'IterationSeedHook',
    'LayerDecayOptimWrapperConstructor',
    'NonFiniteGuard',
    'Pretrained',
    'RestoredImagesHook',
    'Runner',
    'WandbTracker',
    'load_config',
]
