"""The hook that phases out EoMT's masked attention."""

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from denseformer.registry import HOOKS

POWER = 0.9


@HOOKS.register_module()
class MaskAnnealingHook(Hook):
    """Sets before every iteration which share of the queries keeps to its mask, in each block that takes queries.

    A share is 1 until its start, falls as (1 - progress) ** 0.9, and is 0 from its end on. What is resumed goes on
    where it was.

    starts, ends: iterations, one of each for every query block, the first block first. Raises ValueError where they
    differ in number or from the blocks, or where an end does not come after its start.
    """

    def __init__(self, starts: Sequence[int], ends: Sequence[int]):
        if len(starts) != len(ends) or any(start >= end for start, end in zip(starts, ends, strict=False)):
            raise ValueError(f'MaskAnnealingHook: every start needs a later end, got {starts} and {ends}.')
        self.starts = tuple(starts)
        self.ends = tuple(ends)

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.networks = [module for module in model.modules() if hasattr(module, 'mask_shares')]
        if not self.networks or any(len(network.mask_shares) != len(self.starts) for network in self.networks):
            counts = [len(network.mask_shares) for network in self.networks]
            raise ValueError(f'MaskAnnealingHook has {len(self.starts)} starts for query blocks {counts} of the model.')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        for network in self.networks:
            network.mask_shares = self.shares(runner.iter)

    def after_train(self, runner: Runner) -> None:
        for network in self.networks:
            network.mask_shares = [0.0] * len(self.starts)

    def shares(self, iteration: int) -> list[float]:
        """One share per query block, at an iteration counted from 0."""
        progress = [(iteration - start) / (end - start) for start, end in zip(self.starts, self.ends, strict=True)]
        return [(1 - min(max(part, 0.0), 1.0)) ** POWER for part in progress]
