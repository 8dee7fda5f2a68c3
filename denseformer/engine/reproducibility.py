"""Reproducible training: a resumed run draws the random numbers that it would have drawn without the interruption.

A generator's state would have to be saved for every data worker, each of which is some batches ahead of the network.
Here nothing needs saving: each sample's augmentation is seeded by its position in the sampler's stream, the dropout of
an iteration by its number. The result depends neither on the number of workers nor on where a run was stopped.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import BatchSampler, Dataset, Sampler

from denseformer.datasets.building import build_dataset
from denseformer.registry import HOOKS
from denseformer.seeding import ITERATION, SAMPLE, VIEW, derive_seed, seeded, set_seed


class SampleIndex(int):
    """The index of a sample and its position in the run: (epoch, number within the epoch over all ranks)."""

    position: tuple[int, int]

    def __new__(cls, index: int, position: tuple[int, int]) -> 'SampleIndex':
        self = super().__new__(cls, index)
        self.position = position
        return self

    def __reduce__(self) -> tuple:
        return SampleIndex, (int(self), self.position)


class SeededSampler(Sampler):
    """A sampler of `mmengine` whose indices know their position, and that can begin in the middle of an epoch."""

    def __init__(self, dataset: Any, sampler: dict, seed: int | None):
        self.sampler = DATA_SAMPLERS.build(sampler, default_args={'dataset': dataset, 'seed': seed})
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.epoch = self.first = 0

    def __iter__(self) -> Iterator[SampleIndex]:
        first, self.first = self.first, 0
        for number, index in islice(enumerate(self.sampler), first, None):
            yield SampleIndex(index, (self.epoch, number * self.world_size + self.rank))

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.sampler.set_epoch(epoch)

    def begin_at(self, samples: int) -> None:
        """Leave out the first samples of the next epoch."""
        self.first = samples


class SeededInfiniteSampler(SeededSampler):
    """A seeded sampler around one that never ends and can itself skip."""

    def __iter__(self) -> Iterator[SampleIndex]:
        for number, index in enumerate(self.sampler, self.first):
            yield SampleIndex(index, (0, number * self.world_size + self.rank))

    def skip(self, samples: int) -> None:
        """Continue after as many samples, counted from the beginning; mmengine calls this when it resumes."""
        self.first = samples
        self.sampler.skip(samples)


class SeededDataset(Dataset):
    """A dataset whose random transforms draw from the run's seed and the sample's position in the run.

    views: draw instead one of so many views of each sample, which are the same in all runs, a pass over the set the
    next one.
    """

    def __init__(self, dataset: dict, seed: int, views: int | None = None):
        self.dataset = build_dataset(dataset)
        self.seed = seed
        self.views = views

    def __getitem__(self, index: int) -> Any:
        epoch, number = index.position if isinstance(index, SampleIndex) else (0, int(index))
        if self.views is None:
            seed = derive_seed(self.seed, SAMPLE, epoch, number)
        else:
            seed = derive_seed(0, VIEW, int(index), (epoch + number // len(self)) % self.views)
        with seeded(seed):
            return self.dataset[int(index)]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name == 'dataset':
            raise AttributeError(name)
        return getattr(self.dataset, name)


def reproducible(dataloader: Any, seed: int, views: int | None = None) -> Any:
    """A training dataloader's config, changed so that its samples depend on nothing but the seed and their position.

    views: of `SeededDataset`.
    """
    if not isinstance(dataloader, dict) or not all(isinstance(dataloader.get(k), dict) for k in ('dataset', 'sampler')):
        return dataloader
    cls = DATA_SAMPLERS.get(dataloader['sampler']['type'])
    sampler = SeededInfiniteSampler if hasattr(cls, 'skip') else SeededSampler
    return {
        **dataloader,
        'dataset': {'type': SeededDataset, 'dataset': dataloader['dataset'], 'seed': seed, 'views': views},
        'sampler': {'type': sampler, 'sampler': dataloader['sampler']},
    }


class ResumableEpochLoop(EpochBasedTrainLoop):
    """mmengine's loop, which continues a resumed epoch where the run stopped; mmengine itself restarts the epoch."""

    def run_epoch(self) -> None:
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        done = self._iter - self._epoch * len(self.dataloader)
        if not 0 <= done <= len(self.dataloader):
            self.runner.logger.warning('Epochs have another length than in the resumed run: this one is restarted.')
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

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        set_seed(derive_seed(runner.seed, ITERATION, runner.rank, runner.iter))
