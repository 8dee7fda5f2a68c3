"""Lookahead around AdamW.

Paper: "Lookahead Optimizer: k steps forward, 1 step back", https://arxiv.org/abs/1907.08610.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import AdamW

from denseformer.registry import OPTIMIZERS


@OPTIMIZERS.register_module()
class LookaheadAdamW(AdamW):
    """AdamW whose weights return, after every so many steps, to a part of the way from where they were then.

    Args:
        params: as for torch's `AdamW`.
        every: k, steps between two returns.
        share: alpha, the part of the way that is kept, 0 .. 1.
        options: of `AdamW`.

    Raises ValueError for numbers out of range.
    """

    def __init__(self, params: Any, *, every: int = 5, share: float = 0.5, **options: Any):
        if every < 1 or not 0 < share <= 1:
            raise ValueError(f'every={every} is 1 or more, and share={share} lies above 0 and at most at 1.')
        self.every, self.share = every, share
        super().__init__(params, **options)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        moved = [p for group in self.param_groups for p in group['params'] if p.grad is not None]
        begun = {p: p.clone() for p in moved if 'slow' not in self.state[p]}
        loss = super().step(closure)
        for p in moved:
            state = self.state[p]
            slow = state.setdefault('slow', begun.get(p))
            if int(state['step']) % self.every == 0:
                slow.lerp_(p, self.share)
                p.copy_(slow)
        return loss
