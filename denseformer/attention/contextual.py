"""Contextual attention: holes are filled with mixtures of patches from around them.

Paper: "PEPSI: Fast Image Inpainting with Parallel Decoding Network", CVPR 2019, after "Generative Image Inpainting with
Contextual Attention", https://arxiv.org/abs/1801.07892.

Products of 3 x 3 patches are sums of products of pixels along a diagonal, so that pixels are multiplied once and not
nine times, and no patch is ever copied.

Legend: B batch, C channels, H W map, (H, W, H', W') a matrix of all queries by all keys.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from denseformer.precision import at_least_float32

SHARPNESS = 50.0


def contextual_attention(x: Tensor, known: Tensor) -> Tensor:
    """x (B, C, H, W) where it is known, elsewhere averages of the 3 x 3 patches most like its surroundings.

    known: (B, 1, H, W), 1 or 0. H and W are at least 3. Patches reaching into holes take part, with zeros there.
    Likeness is the squared distance, standardised over all patches for each query.
    """
    B, C, H, W = x.shape
    with torch.autocast(x.device.type, enabled=False):
        x, known = at_least_float32(x), at_least_float32(known)
        kept = x * known
        products = (x.flatten(2).mT @ kept.flatten(2)).view(B, H, W, H, W)
        likeness = diagonal_sum(F.pad(products, (0, 0, 0, 0, 1, 1, 1, 1)))  # (B, H, W, H - 2, W - 2)
        lengths = 9 * F.avg_pool2d(kept.square().sum(1), 3, 1)  # (B, H - 2, W - 2)
        distance = (lengths[:, None, None] - 2 * likeness).flatten(3)  # less the query's length, alike for all patches
        spread, mean = torch.std_mean(distance, -1, correction=0, keepdim=True)
        weights = (SHARPNESS * -((distance - mean) / spread.clamp_min(1e-12)).tanh()).softmax(-1)
        weights = weights.view(B, H, W, H - 2, W - 2)
        spreading = diagonal_sum(F.pad(weights, (2, 2, 2, 2, 1, 1, 1, 1)))  # (B, H, W, H, W)
        filled = kept.flatten(2) @ spreading.view(B, H * W, H * W).mT / 9
        return kept + filled.view(B, C, H, W) * (1 - known)


def diagonal_sum(x: Tensor) -> Tensor:
    """Sums over 3 x 3 steps taken in queries and keys at once: every side of (B, H, W, H', W') gets 2 shorter."""
    for query, key in ((1, 3), (2, 4)):
        lengths = x.shape[query] - 2, x.shape[key] - 2
        x = sum(x.narrow(query, step, lengths[0]).narrow(key, step, lengths[1]) for step in range(3))
    return x
