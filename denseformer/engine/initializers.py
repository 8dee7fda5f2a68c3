"""Initial weights from a file."""

from mmengine.logging import MMLogger
from torch import nn

from denseformer.checkpoints import read_checkpoint
from denseformer.engine.runner import load_weights
from denseformer.registry import WEIGHT_INITIALIZERS


@WEIGHT_INITIALIZERS.register_module()
class Pretrained:
    """`init_cfg=dict(type='denseformer.Pretrained', checkpoint=path)`: weights the authors published, read safely."""

    def __init__(self, checkpoint: str):
        self.checkpoint = checkpoint

    def __call__(self, module: nn.Module) -> None:
        for warning in load_weights(module, read_checkpoint(self.checkpoint), self.checkpoint):
            MMLogger.get_current_instance().warning(warning)
