"""Softmax-free attention: a Gaussian kernel, factored through a few landmarks (the Nystrom approximation).

Legend: B batch, h heads, N tokens, M landmarks, d head width.
"""

from collections.abc import Callable

import torch
from torch import Tensor

ITERATIONS = 20
DAMPING = 0.01


def softmax_free_attention(q: Tensor, v: Tensor, landmarks: Tensor, inverse: Callable[[Tensor], Tensor]) -> Tensor:
    """Attention with the weights exp(-|q_i - q_j|^2 / 2), unnormalised, in time linear in N.

    q, v: (B, h, N, d), the keys are the queries; landmarks: (B, h, M, d); inverse: of the landmarks' own kernel,
    (B, h, M, M), e.g. `damped_inverse` -> (B, h, N, d). In float32 at least: inverses need it.
    """
    precise = torch.promote_types(q.dtype, torch.float32)
    with torch.autocast(q.device.type, enabled=False):
        q, v, landmarks = q.to(precise), v.to(precise), landmarks.to(precise)
        near = gaussian_kernel(q, landmarks)  # (B, h, N, M)
        core = inverse(gaussian_kernel(landmarks, landmarks))
        return near @ (core @ (near.transpose(2, 3) @ v))


def gaussian_kernel(a: Tensor, b: Tensor) -> Tensor:
    """exp(-|a_i - b_j|^2 / 2): (..., N, d), (..., M, d) -> (..., N, M).

    The exponent a . b - |a|^2 / 2 - |b|^2 / 2 is one product of vectors with two more channels.
    """
    norm_a, norm_b = (x.square().sum(-1, keepdim=True) / -2 for x in (a, b))
    a = torch.cat([a, norm_a, torch.ones_like(norm_a)], -1)
    b = torch.cat([b, torch.ones_like(norm_b), norm_b], -1)
    return (a @ b.transpose(-1, -2)).exp()


def newton_inverse(matrix: Tensor, start: Tensor) -> Tensor:
    """A fixed number of Newton's iterations towards the inverse of symmetric matrices, from `start` * `matrix`.

    Directions of small eigenvalues do not converge, which is part of the published models. The gradient is that of the
    inverse, and no iteration is stored for it.
    """
    with torch.no_grad():
        inverse = start * matrix
        for _ in range(ITERATIONS):
            inverse = 2 * inverse - inverse @ matrix @ inverse
    if matrix.requires_grad:
        inverse = inverse - inverse @ (matrix - matrix.detach()) @ inverse
    return inverse


def damped_inverse(core: Tensor) -> Tensor:
    """SOFT's inverse of a kernel (B, h, M, M): of core + 0.01 I."""
    start = 2 * 0.9 / core.detach().sum(-1).amax(-1).square()
    return newton_inverse(
        core + DAMPING * torch.eye(core.shape[-1], device=core.device, dtype=core.dtype), start[..., None, None]
    )


def normalized_inverse(core: Tensor) -> Tensor:
    """SOFT++'s inverse of a kernel (B, h, M, M), normalised symmetrically by the square roots of its row sums.

    The starting point is shared by the heads of an image and halved, at most ten times, while it is too far.
    """
    rows = core.sum(-1, keepdim=True)  # (B, h, M, 1)
    with torch.no_grad():
        start = 2 / rows.amax((1, 2, 3), keepdim=True).square()  # (B, 1, 1, 1)
        squared, identity = core @ core, torch.eye(core.shape[-1], device=core.device, dtype=core.dtype)
        for _ in range(10):
            distance = (identity - start * squared).abs().sum(-2, keepdim=True).amax((1, 2, 3), keepdim=True)
            start = torch.where(distance > 1.01, start / 2, start)
    return rows.rsqrt() * newton_inverse(core, start) * rows.rsqrt().transpose(2, 3)
