"""What wraps mmengine's Runner: configs, their audit, optimiser settings, runs that survive."""

from denseformer.config.errors import ConfigError
from denseformer.config.loading import load_config
from denseformer.engine.checkpoint_hook import CheckpointHook
from denseformer.engine.initializers import Pretrained
from denseformer.engine.nan_guard import NaNGuardHook
from denseformer.engine.optim import LayerDecayOptimWrapperConstructor
from denseformer.engine.preemption import PreemptionHook
from denseformer.engine.reproducibility import IterationSeedHook
from denseformer.engine.restored_images import RestoredImagesHook
from denseformer.engine.runner import Runner
from denseformer.engine.trackers import WandbTracker

__all__ = [
    'CheckpointHook',
    'ConfigError',
    'IterationSeedHook',
    'LayerDecayOptimWrapperConstructor',
    'NaNGuardHook',
    'PreemptionHook',
    'Pretrained',
    'RestoredImagesHook',
    'Runner',
    'WandbTracker',
    'load_config',
]
