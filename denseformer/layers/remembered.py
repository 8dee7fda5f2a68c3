"""Attention biases made from parameters, made once and remembered while predicting."""

import torch
from torch import Tensor, nn

from denseformer.attention.windows import Size, position_bias


class RememberedBias(nn.Module):
    """A module that builds an attention bias (heads, N, M) from its parameters alone: forward(dtype) -> the bias.

    With gradients enabled it is built anew each time. Without, the last one is kept, outside the state dict, until a
    parameter is written to, replaced or moved, another dtype is asked for, or `train` or `eval` is called (weights
    that are swapped behind autograd's back, as averaging hooks do, are swapped between such calls).
    """

    def __init__(self):
        super().__init__()
        self._kept: tuple[tuple, Tensor] | None = None

    def build(self) -> Tensor:
        raise NotImplementedError

    def forward(self, dtype: torch.dtype) -> Tensor:
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or self.training:
            return self.build().to(dtype)
        key = (dtype, *((p.device, p.data_ptr(), version(p)) for p in self.parameters()))
        if self._kept is None or self._kept[0] != key:
            self._kept = key, self.build().to(dtype)
        return self._kept[1]

    def train(self, mode: bool = True) -> 'RememberedBias':
        self._kept = None
        return super().train(mode)

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), '_kept': None}


def version(parameter: Tensor) -> int:
    """How often autograd has seen `parameter` written to; it does not count for tensors made in inference mode."""
    return 0 if parameter.is_inference() else parameter._version


class PositionTable(RememberedBias):
    """A learned bias per head and offset between query and key inside a window."""

    def __init__(self, window: Size, heads: int):
        super().__init__()
        self.window = window
        self.table = nn.Parameter(torch.empty((2 * window[0] - 1) * (2 * window[1] - 1), heads))
        nn.init.trunc_normal_(self.table, std=0.02)

    def build(self) -> Tensor:
        return position_bias(self.table, self.window).contiguous()
