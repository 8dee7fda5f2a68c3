"""State-space duality, the recurrence of Mamba-2 as products of matrices.

Paper: "Transformers are SSMs: Generalized Models and Efficient Algorithms Through Structured State Space Duality",
https://arxiv.org/abs/2405.21060.

A decays all states of a head alike, so that the recurrence

    h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t,    y_t = C_t h_t

is attention with queries C, keys B, values x and no softmax, under a mask that decays with the distance. Inside chunks
of tokens the mask is made; from chunk to chunk the states are carried, so that time and memory per token do not grow
with the length of the sequence.

Without an order of tokens, as VSSD has it for images ("VSSD: Vision Mamba with Non-Causal State Space Duality",
https://arxiv.org/abs/2407.18559), all of them enter one state, each with the weight -dt_t A: linear attention.

Legend: B batch, L tokens, h heads, d head width, G groups of successive heads, N states; K chunks of T tokens.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.kernels.mamba_ssm import mamba_kernel

CHUNK = 64
"""Tokens of a chunk: more would spend the products on the mask, fewer on carrying states."""


def state_space_duality(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None = None, *, causal: bool = True
) -> Tensor:
    """Read the states of a batch of sequences at every token. Sums are taken in float32 at least.

    On CUDA the compiled kernel of `mamba_ssm` computes the causal form where it is installed.

    Args:
        x: (B, L, h, d).
        dt: (B, L, h), step sizes, positive.
        A: (h,), negative.
        B, C: (B, L, G, N), each group shared by h / G successive heads.
        D: (h,), gain of the input; none by default.
        causal: whether tokens see only themselves and those before them; else all see all.

    Returns:
        y + D x: (B, L, h, d), in the dtype of x.

    Raises:
        ValueError: where shapes do not fit each other.
    """
    check_shapes(x, dt, A, B, C)
    kernel = mamba_kernel('triton.ssd_combined', 'mamba_chunk_scan_combined', x.device.type) if causal else None
    if kernel is not None and x.dtype is not torch.float64:
        return kernel(x, dt, A.float(), B.to(x.dtype), C.to(x.dtype), CHUNK, D=D)
    wide = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        parts = (x.to(wide), dt.to(wide), A.to(wide), B.to(wide), C.to(wide))
        y = causal_duality(*parts) if causal else unordered_duality(*parts)
        if D is not None:
            y = y + x * D.to(wide)[:, None]
    return y.to(x.dtype)


def check_shapes(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> None:
    if x.ndim != 4 or dt.shape != x.shape[:3] or A.shape != x.shape[2:3]:
        shapes = f'{tuple(x.shape)}, {tuple(dt.shape)} and {tuple(A.shape)}'
        raise ValueError(f'x, dt and A must be (B, L, heads, width), (B, L, heads) and (heads,), got {shapes}.')
    if B.ndim != 4 or B.shape != C.shape or B.shape[:2] != x.shape[:2] or x.shape[2] % B.shape[2]:
        raise ValueError(
            f'B and C must be (B, L, G, N) = {tuple(x.shape[:2])} + (a divisor of {x.shape[2]}, N), '
            f'got {tuple(B.shape)} and {tuple(C.shape)}.'
        )


def unordered_duality(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """The non-causal form, all in one dtype: two products of matrices."""
    G = B.shape[2]
    values = (x * (dt * -A)[..., None]).flatten(2).unflatten(2, (G, -1)).transpose(1, 2)  # (B, G, L, h/G * d)
    keys, queries = B.transpose(1, 2), C.transpose(1, 2)  # (B, G, L, N)
    y = queries @ (keys.mT @ values)  # (B, G, L, h/G * d)
    return y.transpose(1, 2).reshape(x.shape)


def causal_duality(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """The causal form, all in one dtype."""
    length, heads = x.shape[1:3]
    missing = -length % CHUNK
    x, B, C = (F.pad(part, (0, 0, 0, 0, 0, missing)) for part in (x, B, C))
    dt = F.pad(dt, (0, 0, 0, missing))  # nothing enters or decays behind the end
    x = (x * dt[..., None]).unflatten(1, (-1, CHUNK)).transpose(2, 3)  # (B, K, h, T, d)
    elapsed = (dt * A).unflatten(1, (-1, CHUNK)).transpose(2, 3).cumsum(-1)  # (B, K, h, T)
    keys, queries = (
        part.unflatten(1, (-1, CHUNK)).transpose(2, 3).repeat_interleave(heads // part.shape[2], 2) for part in (B, C)
    )  # (B, K, h, T, N)
    mask = causal_decay(elapsed)  # (B, K, h, T, T)
    y = (queries @ keys.mT * mask) @ x
    entered = keys.mT @ (x * mask[..., -1, :, None])  # (B, K, h, N, d), of a chunk's own tokens at its end
    y = y + (queries @ carried(entered, elapsed[..., -1])) * elapsed.exp()[..., None]
    return y.transpose(2, 3).flatten(1, 2)[:, :length]


def causal_decay(elapsed: Tensor) -> Tensor:
    """Share of each token's entry that is left at each later one, (.., T, T), zero before it."""
    tokens = elapsed.shape[-1]
    before = torch.ones(tokens, tokens, dtype=torch.bool, device=elapsed.device).triu(1)
    return (elapsed[..., :, None] - elapsed[..., None, :]).masked_fill(before, -torch.inf).exp()


def carried(entered: Tensor, elapsed: Tensor) -> Tensor:
    """The states at the beginning of each chunk: (B, K, h, N, d), (B, K, h) -> (B, K, h, N, d)."""
    state = torch.zeros_like(entered[:, 0])
    states = []
    for new, decay in zip(entered.unbind(1), elapsed.exp()[..., None, None].unbind(1), strict=True):
        states.append(state)
        state = state * decay + new
    return torch.stack(states, 1)
