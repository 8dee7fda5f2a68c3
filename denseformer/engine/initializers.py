"""Initial weights from a file."""

from collections.abc import Mapping
from typing import Any

from mmengine.logging import MMLogger
from torch import nn

from denseformer.checkpoints import CheckpointError, read_checkpoint
from denseformer.checkpoints.addresses import CATALOG, catalog_entry
from denseformer.engine.runner import load_weights
from denseformer.registry import WEIGHT_INITIALIZERS


@WEIGHT_INITIALIZERS.register_module()
class Pretrained:
    """`init_cfg=dict(type='denseformer.Pretrained', checkpoint=...)`: start from published weights, read safely.

    checkpoint: a path, or an address of `checkpoints.addresses`. The file may hold a whole model of which this module
    is a part, weights for another number of input channels, and class layers of another size (`checkpoints.fitting`);
    the log says what was changed. Raises CheckpointError when the file cannot be had or does not fit.
    """

    def __init__(self, checkpoint: str):
        self.checkpoint = checkpoint

    def __call__(self, module: nn.Module) -> None:
        logger = MMLogger.get_current_instance()
        notes = load_weights(module, dict(self._content()), self.checkpoint)
        logger.info(f'{type(module).__name__} starts from {self.checkpoint}')
        for note in notes:
            logger.info(note)

    def _content(self) -> Mapping[str, Any]:
        """The file's content, or the entry of it that the catalog says holds the weights."""
        try:
            content = read_checkpoint(self.checkpoint)
        except CheckpointError as error:
            raise CheckpointError(f'{error} To start from random weights, pass --pretrained none.') from error
        entry = catalog_entry(self.checkpoint) if self.checkpoint.startswith(CATALOG) else None
        if entry and entry.key and isinstance(content.get(entry.key), Mapping):
            return content[entry.key]
        return content
