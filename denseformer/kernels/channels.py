"""Products of the channels of narrow heads, over all tokens.

Legend: B batch, N tokens, h heads, d head width.
"""

from torch import Tensor

from denseformer.kernels.switch import use

NARROW = 16
"""Widest head whose products cost more one by one than within the product of all channels with all."""
MOST_CHANNELS = 256


def applies(q: Tensor) -> bool:
    return q.shape[2] > 1 and q.shape[3] <= NARROW and q.shape[2] * q.shape[3] <= MOST_CHANNELS and use(q)


def channel_products(q: Tensor, k: Tensor) -> Tensor:
    """q^T k of each head, (B, N, h, d) each -> (B, h, d, d), taken out of the product of all channels with all."""
    products = (q.flatten(2).mT @ k.flatten(2)).unflatten(2, q.shape[2:]).unflatten(1, q.shape[2:])  # (B, h, d, h, d)
    return products.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2)  # (B, h, d, d)
