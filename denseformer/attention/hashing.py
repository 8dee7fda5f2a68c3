"""Hashed attention: queries and keys become codes of -1 and 1, and their products a linear attention.

"EcoFormer: Energy-Saving Attention with Linear Complexity", https://arxiv.org/abs/2209.09004.

Legend: B batch, N tokens, h heads, d head width, m anchors, b bits of a code.
"""

from typing import Any

import torch
from torch import Tensor

LEARNING_RATE, MOMENTUM, STEPS = 5e-4, 0.9, 100
ALIKE = 10
"""How many of the other tokens count as like a token, and as many as unlike it."""


class Sign(torch.autograd.Function):
    """The sign of each number, with the gradient of the identity between -1 and 1."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.sign()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * (x.abs() < 1).to(grad.dtype)


def anchor_features(x: Tensor, anchors: Tensor) -> Tensor:
    """Gaussian kernels around anchors, as wide as the mean distance in each image and head.

    x: (B, h, N, d); anchors: (h, m, d) -> (B, h, N, m).
    """
    products = x @ anchors.mT
    distances = x.square().sum(-1, keepdim=True) + anchors.square().sum(-1)[:, None] - 2 * products
    return (-distances / (2 * distances.mean((-2, -1), keepdim=True))).exp()


def hash_codes(x: Tensor, anchors: Tensor, mean: Tensor, projection: Tensor) -> Tensor:
    """Signs of projected kernel features.

    x: (B, h, N, d), of unit length; anchors: (h, m, d); mean: (h, 1, m), subtracted from the features; projection:
    (h, b, m) -> (B, h, N, b).
    """
    return Sign.apply((anchor_features(x, anchors) - mean) @ projection.mT)


def hashed_attention(codes: Tensor, v: Tensor) -> Tensor:
    """Linear attention whose weights are products of codes, which serve as queries and keys, plus b + 1.

    The constant makes weights positive. In the authors' code, kept here, it counts the token's own value alone in the
    numerator, and all tokens in the denominator. codes: (B, h, N, b); v: (B, h, N, d) -> (B, h, N, d).
    """
    constant = codes.shape[-1] + 1
    total = codes @ codes.sum(-2).unsqueeze(-1) + constant * codes.shape[-2]  # (B, h, N, 1)
    return (codes @ (codes.mT @ v) + constant * v) / total


def learn_projection(features: Tensor, likeness: Tensor, projection: Tensor) -> Tensor:
    """Bit by bit, a projection whose codes agree for tokens that are alike: (h, b, m) from the one given.

    features: (B, h, N, m), their mean subtracted; likeness: (B, h, N, N), 1 for alike tokens, -1 for unlike ones. Each
    bit fits what those before it left, by gradient descent on smooth signs, and changes where its signs fit better.
    """
    bits = projection.shape[1]
    rest, learned = likeness * bits, []
    for start in projection.unbind(1):
        moved = fit_bit(features, rest, start, bits)
        before, after = (2 * (project(features, bit) > 0).to(features.dtype) - 1 for bit in (start, moved))
        better = misfit(after, rest, bits) < misfit(before, rest, bits)
        learned.append(torch.where(better, moved, start))
        signs = torch.where(better, after, before)
        rest = rest - signs[..., None] * signs[..., None, :]
    return torch.stack(learned, 1)


def fit_bit(features: Tensor, rest: Tensor, start: Tensor, bits: int) -> Tensor:
    """(h, m) after gradient descent with Nesterov's momentum from `start`, on signs that are smooth: tanh(y / 2)."""
    B, heads, N, _ = features.shape
    both_ways = (rest + rest.mT) / (2 * B * heads * N * bits)
    bit, velocity = start, torch.zeros_like(start)
    for _ in range(STEPS):
        signs = (project(features, bit) / 2).tanh()
        slope = (both_ways @ signs[..., None])[..., 0] * (1 - signs.square())
        gradient = -(slope[..., None, :] @ features).sum((0, 2))  # (h, m)
        velocity = MOMENTUM * velocity + gradient
        bit = bit - LEARNING_RATE * (gradient + MOMENTUM * velocity)
    return bit


def project(features: Tensor, bit: Tensor) -> Tensor:
    """(B, h, N, m), (h, m) -> (B, h, N)."""
    return (features @ bit[..., None])[..., 0]


def misfit(signs: Tensor, rest: Tensor, bits: int) -> Tensor:
    """How little signs (B, h, N) agree with what is left of the likeness (B, h, N, N): a scalar."""
    agreement = (signs[..., None, :] @ rest @ signs[..., None]).mean()
    return -agreement / (signs.shape[-1] * bits)


def alike_tokens(x: Tensor) -> Tensor:
    """1 for the tokens most similar to each, -1 for the least similar, else 0: (B, h, N, d) -> (B, h, N, N)."""
    similarity = x @ x.mT
    count = min(ALIKE, x.shape[-2])
    alike = torch.zeros_like(similarity)
    for largest, value in ((True, 1.0), (False, -1.0)):
        alike.scatter_(-1, similarity.topk(count, largest=largest).indices, value)
    return alike
