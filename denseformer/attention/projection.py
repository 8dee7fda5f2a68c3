"""Linear projections that predict on a processor by the faster of PyTorch's two matrix products."""

import torch
import torch.nn.functional as F
from torch import Tensor

ONEDNN_LINEAR = getattr(torch.ops.mkldnn, '_linear_pointwise', None) if torch.backends.mkldnn.is_available() else None
"""PyTorch's compiler calls oneDNN through this operator; None in a PyTorch without it."""


def project(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x (..., C) times weight (C', C), plus bias (C',) -> (..., C').

    A float32 prediction on a processor goes through oneDNN, as bfloat16 always does; PyTorch's own choice, MKL, reaches
    two thirds of its speed where the output is wide and the processor not Intel's. The results agree to rounding.
    """
    if ONEDNN_LINEAR is not None and predicts_on_cpu(x, weight):
        return ONEDNN_LINEAR(x.contiguous(), weight, bias, 'none', [], '')
    return F.linear(x, weight, bias)


def predicts_on_cpu(x: Tensor, weight: Tensor) -> bool:
    return (
        not torch.is_grad_enabled()
        and x.device.type == 'cpu'
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled('cpu')
        and not torch.compiler.is_compiling()
        and type(x) is Tensor
    )
