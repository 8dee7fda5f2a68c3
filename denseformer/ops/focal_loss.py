"""Focal loss, https://arxiv.org/abs/1708.02002, per element.

Legend: N predictions, C classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def sigmoid_focal_loss(
    logits: Tensor, target: Tensor, weight: Tensor | None = None, gamma: float = 2.0, alpha: float = 0.25
) -> Tensor:
    """logits: (N, C); target: (N,) class indices, C for background -> (N, C).

    weight: (C,), a factor for the rows of each class; background rows have factor 1.
    """
    sign, balance = signs(logits, target, weight, alpha)
    agreement = sign * logits
    return -balance * agreement.neg().sigmoid() ** gamma * F.logsigmoid(agreement)


def sigmoid_focal_grad(
    logits: Tensor, target: Tensor, weight: Tensor | None = None, gamma: float = 2.0, alpha: float = 0.25
) -> Tensor:
    """The gradient of `sigmoid_focal_loss`, element by element: (N, C)."""
    sign, balance = signs(logits, target, weight, alpha)
    agreement = sign * logits
    probability, miss = agreement.sigmoid(), agreement.neg().sigmoid()
    return sign * balance * miss**gamma * (gamma * probability * F.logsigmoid(agreement) - miss)


def signs(logits: Tensor, target: Tensor, weight: Tensor | None, alpha: float) -> tuple[Tensor, Tensor]:
    """1 for the class of a row and -1 for the others, and the factor of each element: (N, C) twice."""
    positive = target[:, None] == torch.arange(logits.shape[1], device=target.device)
    sign = torch.where(positive, 1.0, -1.0).to(logits.dtype)
    balance = torch.where(positive, alpha, 1 - alpha).to(logits.dtype)
    return sign, balance if weight is None else balance * F.pad(weight, (0, 1), value=1.0)[target][:, None]


def softmax_focal_loss(
    probabilities: Tensor, target: Tensor, weight: Tensor | None = None, gamma: float = 2.0, alpha: float = 0.25
) -> Tensor:
    """probabilities: (N, C), each row's sum is 1; target: (N,) class indices, below 0 to leave a row out -> (N,)."""
    known = target.clamp(min=0)
    probability = probabilities.gather(1, known[:, None])[:, 0]
    tiny = torch.finfo(probabilities.dtype).tiny
    loss = -alpha * (1 - probability) ** gamma * probability.clamp(min=tiny).log()
    loss = loss if weight is None else loss * weight[known]
    return torch.where(target >= 0, loss, 0.0)


def softmax_focal_grad(
    probabilities: Tensor, target: Tensor, weight: Tensor | None = None, gamma: float = 2.0, alpha: float = 0.25
) -> Tensor:
    """The gradient of `softmax_focal_loss`, row by row, for the logits behind `probabilities`: (N, C)."""
    known = target.clamp(min=0)
    probability = probabilities.gather(1, known[:, None])[:, 0]
    miss = 1 - probability
    log = probability.clamp(min=torch.finfo(probabilities.dtype).tiny).log()
    slope = alpha * (gamma * miss ** (gamma - 1) * probability * log - miss**gamma)
    slope = slope if weight is None else slope * weight[known]
    slope = torch.where(target >= 0, slope, 0.0)
    return slope[:, None] * (F.one_hot(known, probabilities.shape[1]) - probabilities)
