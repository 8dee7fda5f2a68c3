"""Losses that a part of a model has of its own, such as a backbone whose routing has to be balanced."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils.hooks import RemovableHandle

from denseformer.registry import HOOKS


@HOOKS.register_module()
class AuxiliaryLossHook(Hook):
    """Adds to a model's losses what its parts return from `auxiliary_losses()`: a dict of name and scalar.

    They are logged as `part.name`, and minimized if the name contains 'loss', like those of heads. It is for segmentors
    and detectors alike, whose code knows nothing of a backbone's losses.
    """

    priority = 'HIGH'  # before the hook that looks whether losses are finite

    def __init__(self) -> None:
        self.handle: RemovableHandle | None = None

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        parts = {name: part for name, part in model.named_modules() if hasattr(part, 'auxiliary_losses')}

        def add_losses(module: nn.Module, inputs: Any, output: Any) -> Any:
            if not module.training or not isinstance(output, dict):
                return output
            extra = {
                f'{name}.{key}': loss for name, part in parts.items() for key, loss in part.auxiliary_losses().items()
            }
            return {**output, **extra}

        if parts:
            self.handle = model.register_forward_hook(add_losses)

    def after_train(self, runner: Runner) -> None:
        self.on_exit(runner)

    def on_exit(self, runner: Runner) -> None:
        if self.handle is not None:
            self.handle.remove()
            self.handle = None
