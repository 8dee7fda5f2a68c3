"""What wraps mmengine's Runner: configs, their audit, optimiser settings, safe checkpoints."""

from denseformer.engine.config import ConfigError, load_config
from denseformer.engine.initializers import Pretrained
from denseformer.engine.optim import RoleOptimWrapperConstructor
from denseformer.engine.runner import Runner

__all__ = ['ConfigError', 'Pretrained', 'RoleOptimWrapperConstructor', 'Runner', 'load_config']
