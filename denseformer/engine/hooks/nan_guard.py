"""The hook that stops a run at a NaN or infinite loss or gradient, before it reaches the weights."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from denseformer.checkpoints import read_checkpoint
from denseformer.engine.sharding import full_tensor
from denseformer.registry import HOOKS
from denseformer.seeding import ITERATION, derive_seed, set_seed

REMEDY = (
    'Look at these files, lower the learning rate, use --amp bf16 instead of fp16, or let steps be skipped with '
    '--cfg-options default_hooks.nan_guard.skip=10.'
)


class NonFiniteError(FloatingPointError):
    """A NaN or infinite loss or gradient; the message names the files of the batch."""


@HOOKS.register_module()
class NaNGuardHook(Hook):
    """Checks losses and gradients before every optimiser step, on all ranks together; mmengine trains on.

    Ranks agree by one all-reduced flag per step, so that none waits for one that stopped. The batch and the weights it
    met are written to `nan_iter_N_rank_R.pth`, which `replay` runs again. Under fp16 a loss scaler already skips
    steps whose scaled gradients overflow; there only the loss itself counts.

    skip: how many steps in a row are skipped, with a warning, before the run stops.
    """

    priority = 'ABOVE_NORMAL'

    def __init__(self, skip: int = 0):
        if skip < 0:
            raise ValueError(f'NaNGuardHook: skip={skip}; it is how many steps in a row may be skipped, 0 or more.')
        self.skip = skip
        self.in_a_row = 0
        self.dumped = False
        self.batch: Any = None
        self.losses: dict[str, Tensor] = {}
        self.handles: list[Any] = []

    def before_train(self, runner: Runner) -> None:
        self.runner = runner
        self.handles = [
            runner.model.register_forward_hook(self._keep_losses),
            *(o.register_step_pre_hook(self._before_step) for o in optimizers(runner.optim_wrapper)),
        ]

    def on_exit(self, runner: Runner) -> None:
        for handle in self.handles:
            handle.remove()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        self.batch = data_batch
        self.losses = {}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Judge losses that no step followed: of a batch of a larger one, or of a step that a loss scaler skipped."""
        if self.losses and self._judge(self.losses, {}):
            runner.optim_wrapper.zero_grad()

    def _keep_losses(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, dict) and module.training:
            self.losses = dict(flatten(output))

    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group['params'] if p.grad is not None]
        norm = full_tensor(torch.nn.utils.get_total_norm(gradients)) if gradients else torch.zeros(())
        if self._judge(self.losses, {'gradient norm': norm}):
            optimizer.zero_grad(set_to_none=True)  # a parameter without a gradient is not touched by the step
        self.losses = {}

    def _judge(self, losses: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> bool:
        """Whether any rank met a NaN or infinite value; stops the run when the step may not be skipped."""
        values = {**losses, **gradients}
        bad = torch.stack([~torch.isfinite(value.detach()).all() for value in values.values()]).any().float()
        all_reduce(bad, op='max')
        if not bad.item():
            self.in_a_row = 0
            return False
        self.in_a_row += 1
        stops = self.in_a_row > self.skip
        message = self._describe(values)
        if stops or not self.dumped:
            message += f' The batch and the weights it met are in {self._dump()}.'
        if stops:
            raise NonFiniteError(f'{message} {REMEDY}')
        self.runner.logger.warning(f'{message} The step is skipped, {self.in_a_row} of at most {self.skip} in a row.')
        return True

    def _describe(self, values: Mapping[str, Tensor]) -> str:
        bad = {name: value.detach() for name, value in values.items() if not torch.isfinite(value).all()}
        met = ', '.join(f'{name} = {value.float().mean().item()}' for name, value in bad.items())
        where = f'{met} on rank {self.runner.rank}' if bad else 'another rank met a NaN or infinite loss'
        files = ', '.join(file_names(self.batch)) or 'unknown'
        return f'Iteration {self.runner.iter + 1}: {where}, before the optimiser step. Files of the batch: {files}.'

    def _dump(self) -> Path:
        runner = self.runner
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        seed = derive_seed(runner.seed, ITERATION, runner.rank, runner.iter)
        path = Path(runner.work_dir) / f'nan_iter_{runner.iter + 1}_rank_{runner.rank}.pth'
        torch.save({'state_dict': model.state_dict(), 'batch': self.batch, 'seed': seed, 'iter': runner.iter}, path)
        self.dumped = True
        return path


def optimizers(wrapper: Any) -> Iterator[torch.optim.Optimizer]:
    """The optimisers in a wrapper, or in a dict of wrappers."""
    if isinstance(wrapper.optimizer if hasattr(wrapper, 'optimizer') else None, torch.optim.Optimizer):
        yield wrapper.optimizer
    else:
        for _, inner in wrapper.items():
            yield inner.optimizer


def flatten(losses: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, tensor) of all values that count as losses or are logged with them."""
    for name, value in losses.items():
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, Iterable):
            yield from ((name, part) for part in value if isinstance(part, Tensor))


def file_names(batch: Any) -> list[str]:
    """Paths that the samples of a batch came from."""
    samples = batch.get('data_samples') if isinstance(batch, Mapping) else None
    infos = [sample.metainfo for sample in samples or () if hasattr(sample, 'metainfo')]
    return [str(value) for info in infos for key, value in info.items() if key.endswith('path') and value]


def replay(model: BaseModel, path: str | Path) -> dict[str, Tensor]:
    """The losses of the batch in a dump, with its weights and its random numbers.

    The dump is a pickle, because a batch holds data samples: open only those that your own runs wrote.
    """
    dump = read_checkpoint(path, trust=True)
    model.load_state_dict(dump['state_dict'])
    model.train()
    set_seed(dump['seed'])
    data = model.data_preprocessor(dump['batch'], True)
    return dict(flatten(model._run_forward(data, mode='loss')))
