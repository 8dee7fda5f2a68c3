"""mmengine's Runner with checkpoints that are read safely."""

from collections.abc import Callable

from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner as MMEngineRunner
from torch import nn

from denseformer.checkpoints import CheckpointError, read_checkpoint, weights_of


class Runner(MMEngineRunner):
    """mmengine's Runner, except that a checkpoint executes nothing and what does not fit is an error or a warning.

    mmengine falls back to an unrestricted unpickler and runs the config text that it finds in a checkpoint.
    """

    trust_checkpoint = False

    def load_checkpoint(
        self, filename: str, map_location: str | Callable = 'cpu', strict: bool = False, revise_keys: list | None = None
    ) -> dict:
        """Load weights from a file of ours or of a network's authors; return the file's content."""
        checkpoint = read_checkpoint(filename, map_location=map_location, trust=self.trust_checkpoint)
        if isinstance(checkpoint.get('meta'), dict):
            checkpoint['meta'].pop('config', None)  # text that mmengine would execute
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        model = self.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        for warning in load_weights(model, checkpoint, filename):
            self.logger.warning(warning)
        self._has_loaded = True
        self.logger.info(f'Loaded {filename}')
        return checkpoint


def load_weights(model: nn.Module, checkpoint: dict, filename: str) -> list[str]:
    """Load a checkpoint's weights into `model`; return what did not match, in words.

    Raises CheckpointError when nothing matches, or a tensor has another shape than the model's.
    """
    try:
        weights = weights_of(checkpoint)
        left = model.load_state_dict(weights, strict=False)
    except ValueError as error:
        raise CheckpointError(f'{filename}: {error}') from error
    except RuntimeError as error:
        raise CheckpointError(
            f'{filename}: its tensors have other shapes than this config builds; is it of another variant or data set? '
            f'{error}'
        ) from error
    names = {name for name, _ in model.named_parameters()}
    missing = [key for key in left.missing_keys if key in names]
    if len(missing) == len(names):
        raise CheckpointError(
            f'{filename}: none of its {len(weights)} tensors belongs to this model; it has {list(weights)[:3]}, the '
            f'model {sorted(names)[:3]}.'
        )
    warnings = []
    if missing:
        warnings.append(f'{filename} does not set {len(missing)} parameters: {_some(missing)}')
    if left.unexpected_keys:
        warnings.append(f'{filename} has {len(left.unexpected_keys)} unknown tensors: {_some(left.unexpected_keys)}')
    return warnings


def _some(names: list[str], limit: int = 8) -> str:
    return ', '.join(names[:limit]) + (' ...' if len(names) > limit else '')
