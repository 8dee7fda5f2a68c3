"""Schedules of the learning rate that mmengine lacks."""

from typing import Any

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler

from denseformer.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class TwoStageWarmupLR(LRSchedulerMixin, _ParamScheduler):
    """EoMT's: new parts warm up while the backbone stands still, then the backbone does; both then fall.

    warmup, backbone_warmup: steps of the two warm-ups; end: the step at which rates are 0; power: of the fall. Rates of
    the backbone are those of groups whose entry 'backbone' is True: the optimizer constructor's `separate_backbone`.
    """

    def __init__(
        self, optimizer: Any, *, warmup: int, backbone_warmup: int, end: int, power: float = 0.9, **options: Any
    ):
        self.warmup = warmup
        self.backbone_warmup = backbone_warmup
        self.last = end
        self.power = power
        super().__init__(optimizer, end=end, **options)

    def _get_value(self) -> list[float]:
        groups = zip(self.base_values, self.optimizer.param_groups, strict=True)
        return [base * self.factor(self.last_step, bool(group.get('backbone'))) for base, group in groups]

    def factor(self, step: int, backbone: bool) -> float:
        """The share of its rate that a part has at a step, counted from 0."""
        start = self.warmup if backbone else 0
        length = self.backbone_warmup if backbone else self.warmup
        if step < start:
            return 0.0
        if step < start + length:
            return (step - start) / length
        left = max(1, self.last - start - length)
        return max(0.0, 1 - (step - start - length) / left) ** self.power
