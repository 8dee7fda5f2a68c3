"""Linear layers that predict on a processor by the fastest of PyTorch's matrix products."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denseformer.attention.cache import Remembering

ONEDNN_LINEAR: Any = (
    getattr(torch.ops.mkldnn, '_linear_pointwise', None) if torch.backends.mkldnn.is_available() else None
)
"""PyTorch's compiler calls oneDNN through this operator; None in a PyTorch without it."""
ONEDNN_TYPES = {torch.float32} if ONEDNN_LINEAR else set()
if ONEDNN_LINEAR and torch.ops.mkldnn._is_mkldnn_bf16_supported():
    ONEDNN_TYPES.add(torch.bfloat16)
AUTOCAST_TYPES = {torch.float32, torch.bfloat16, torch.float16}
"""What autocast converts; it leaves float64 and integers as they are."""
FEW_ROWS = 256
"""Below how many rows a converted weight is kept: the fewer share it, the more converting costs beside the product."""


class Linear(Remembering, nn.Linear):
    """nn.Linear, and an activation behind it: (..., C) -> (..., C').

    Predictions on a processor go through oneDNN. In float32 PyTorch's own choice, MKL, reaches two thirds of its speed
    where the output is wide and the processor not Intel's. Under autocast a converted weight lives for one product;
    where few rows share it, until it changes. Exact GELU is part of the product. The results agree to rounding.
    """

    def forward(self, x: Tensor, act: nn.Module | None = None) -> Tensor:
        dtype = onednn_type(x, self.weight)
        if dtype is None:
            out = F.linear(x, self.weight, self.bias)
            return out if act is None else act(out)
        fused = 'gelu' if type(act) is nn.GELU and act.approximate == 'none' else 'none'
        x = x.to(dtype).contiguous()
        few = dtype is not self.weight.dtype and x[..., 0].numel() < FEW_ROWS
        weight = self.remembered(dtype, lambda: self.weight.to(dtype)) if few else self.weight.to(dtype)
        out = ONEDNN_LINEAR(x, weight, self.bias, fused, [], 'none')
        return out if act is None or fused == 'gelu' else act(out)


def onednn_type(x: Tensor, weight: Tensor) -> torch.dtype | None:
    """The precision in which a linear layer predicts on a processor, None where PyTorch is left to itself."""
    if torch.is_grad_enabled() or x.device.type != 'cpu' or type(x) is not Tensor or torch.compiler.is_compiling():
        return None
    if torch.is_autocast_enabled('cpu'):
        dtype, agree = torch.get_autocast_dtype('cpu'), {x.dtype, weight.dtype} <= AUTOCAST_TYPES
    else:
        dtype, agree = x.dtype, x.dtype is weight.dtype
    return dtype if agree and dtype in ONEDNN_TYPES else None
