"""Randomness as a function of the seed and of how far training is: a resumed run draws what it would have drawn.

A generator's state would have to be saved for every data worker, each of which is some batches ahead of the network.
Here nothing needs saving: each sample's augmentation is seeded by its place in the sampler's stream, each iteration's
dropout by the iteration's number. The result depends neither on the number of workers nor on where a run was cut.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import BatchSampler, Dataset, Sampler

from denseformer.inspection.dataset_files import build_dataset
from denseformer.registry import HOOKS

SAMPLE, ITERATION = 0, 1


def fold(seed: int, *numbers: int) -> int:
    """A seed of 32 bits that depends on all arguments, and is unrelated for related ones."""
    return int(np.random.SeedSequence([seed, *numbers]).generate_state(1)[0])


def set_seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from `seed` inside, and go on as if nothing had been drawn afterwards."""
    states = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.random.set_rng_state(states[2])


class Draw(int):
    """An index that knows which draw of the run it is, counted over all ranks."""

    place: tuple[int, int]

    def __new__(cls, index: int, place: tuple[int, int]) -> 'Draw':
        draw = super().__new__(cls, index)
        draw.place = place
        return draw

    def __reduce__(self) -> tuple:
        return Draw, (int(self), self.place)


class SeededSampler(Sampler):
    """A sampler of `mmengine` whose indices know their place, and that can begin in the middle of an epoch."""

    def __init__(self, dataset: Any, sampler: dict, seed: int | None):
        self.sampler = DATA_SAMPLERS.build(sampler, default_args={'dataset': dataset, 'seed': seed})
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.epoch = self.first = 0

    def __iter__(self) -> Iterator[Draw]:
        first, self.first = self.first, 0
        for position, index in islice(enumerate(self.sampler), first, None):
            yield Draw(index, (self.epoch, position * self.world_size + self.rank))

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.sampler.set_epoch(epoch)

    def begin_at(self, samples: int) -> None:
        """Leave out the first samples of the next epoch."""
        self.first = samples


class SeededInfiniteSampler(SeededSampler):
    """The same for a sampler that never ends, which itself can skip."""

    def __iter__(self) -> Iterator[Draw]:
        for position, index in enumerate(self.sampler, self.first):
            yield Draw(index, (0, position * self.world_size + self.rank))

    def skip(self, samples: int) -> None:
        """Go on after as many samples, counted from the beginning; mmengine calls this when it resumes."""
        self.first = samples
        self.sampler.skip(samples)


class SeededDataset(Dataset):
    """A data set whose random transforms draw from the run's seed and the sample's place in the run."""

    def __init__(self, dataset: dict, seed: int):
        self.dataset = build_dataset(dataset)
        self.seed = seed

    def __getitem__(self, index: int) -> Any:
        place = index.place if isinstance(index, Draw) else (0, int(index))
        with seeded(fold(self.seed, SAMPLE, *place)):
            return self.dataset[int(index)]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name == 'dataset':
            raise AttributeError(name)
        return getattr(self.dataset, name)


def repeatable(dataloader: Any, seed: int) -> Any:
    """A training dataloader's config, changed so that its samples depend on nothing but the seed and their place."""
    if not isinstance(dataloader, dict) or not all(isinstance(dataloader.get(k), dict) for k in ('dataset', 'sampler')):
        return dataloader
    cls = DATA_SAMPLERS.get(dataloader['sampler']['type'])
    sampler = SeededInfiniteSampler if hasattr(cls, 'skip') else SeededSampler
    return {
        **dataloader,
        'dataset': {'type': SeededDataset, 'dataset': dataloader['dataset'], 'seed': seed},
        'sampler': {'type': sampler, 'sampler': dataloader['sampler']},
    }


class EpochLoop(EpochBasedTrainLoop):
    """mmengine's loop, which begins a resumed epoch where the run was cut; mmengine itself begins it anew."""

    def run_epoch(self) -> None:
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        done = self._iter - self._epoch * len(self.dataloader)
        if not 0 <= done <= len(self.dataloader):
            self.runner.logger.warning('Epochs have another length than in the resumed run: this one is begun anew.')
            done = 0
        for index, batch in enumerate(self._batches_after(done), done):
            self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _batches_after(self, done: int) -> Iterator[Any]:
        if done == len(self.dataloader):
            return iter(())
        sampler = self.dataloader.sampler
        if isinstance(sampler, SeededSampler) and type(self.dataloader.batch_sampler) is BatchSampler:
            sampler.begin_at(done * self.dataloader.batch_size)
            return iter(self.dataloader)
        return islice(self.dataloader, done, None)


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seeds each iteration's random layers by the run's seed, the rank and the iteration."""

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner, batch_idx: int, data_batch: Any = None) -> None:
        set_seed(fold(runner.seed, ITERATION, runner.rank, runner.iter))
