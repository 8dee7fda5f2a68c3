"""Samplers for classes of few images: images are seen more often the rarer their classes are."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from denseformer.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class RepeatFactorSampler(Sampler):
    """Images repeated by the rarest class that they show ("LVIS", https://arxiv.org/abs/1908.03195, appendix).

    A class that a share f of the images shows has the factor max(1, sqrt(threshold / f)), an image the largest factor
    of its classes. Fractions are drawn again each epoch.

    Args:
        dataset: with `get_cat_ids(index)`, as mmdetection's have.
        threshold: share of the images below which a class is repeated.
        seed: of the draws and the order; None shares a random one between processes.
    """

    def __init__(self, dataset: Any, threshold: float = 0.1, seed: int | None = None):
        if not 0 < threshold <= 1:
            raise ValueError(f'threshold={threshold}: a share of the images is above 0 and at most 1.')
        self.factors = torch.tensor(repeat_factors([{*dataset.get_cat_ids(i)} for i in range(len(dataset))], threshold))
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        self.length = math.ceil(float(self.factors.sum()) / self.world_size)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        whole = self.factors.floor()
        counts = whole + (torch.rand(len(whole), generator=generator) < self.factors - whole)
        indices = torch.repeat_interleave(torch.arange(len(whole)), counts.long())
        indices = indices[torch.randperm(len(indices), generator=generator)]
        total = self.length * self.world_size
        indices = indices.repeat(math.ceil(total / len(indices)))[:total]
        yield from indices[self.rank :: self.world_size].tolist()

    def __len__(self) -> int:
        return self.length

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


def repeat_factors(classes: list[set[int]], threshold: float) -> list[float]:
    """The factor of each image, by the classes that it shows; 1 for an image without objects."""
    counts = Counter(label for shown in classes for label in shown)
    factors = {label: max(1.0, math.sqrt(threshold * len(classes) / count)) for label, count in counts.items()}
    return [max((factors[label] for label in shown), default=1.0) for shown in classes]
