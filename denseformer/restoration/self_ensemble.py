"""Test-time augmentation of restoration networks, "Seven Ways to Improve Example-Based Single Image Super Resolution",
https://arxiv.org/abs/1511.02228."""

from collections.abc import Callable

import torch
from torch import Tensor


def self_ensemble(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """The mean over the eight rotations and flips of images (B, C, H, W), each undone afterwards (x8 self-ensemble)."""
    total = 0
    for mirrored in (False, True):
        for turns in range(4):
            seen = torch.rot90(images.flip(3) if mirrored else images, turns, (2, 3))
            restored = torch.rot90(network(seen), -turns, (2, 3))
            total = total + (restored.flip(3) if mirrored else restored)
    return total / 8
