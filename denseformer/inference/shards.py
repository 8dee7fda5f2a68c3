"""Shards: the part of a source's images that one process predicts, whatever started it.

An image belongs to a shard by a hash of its name, so that processes agree without speaking to one another, on any
machines, and a restarted one takes up its own images again.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from denseformer.images.folders import KNOWN

Environment = Mapping[str, str]
RANKS = (
    ('RANK', 'WORLD_SIZE'),  # torchrun and PyTorchJob
    ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE'),
    ('PMI_RANK', 'PMI_SIZE'),
)
"""Variables with the number of a process and of all processes, but for Slurm's, which a job has outside of steps."""
LOCAL_RANKS = ('LOCAL_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK', 'MPI_LOCALRANKID', 'SLURM_LOCALID')


@dataclass(frozen=True)
class Shard:
    """Shard `index`, from 0, of `count`."""

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f'There is no shard {self}: the first of {self.count} is 0/{self.count}.')

    def __str__(self) -> str:
        return f'{self.index}/{self.count}'

    @property
    def folder(self) -> str:
        """The name of the folder of its record."""
        return f'{self.index:05d}-of-{self.count:05d}'

    def holds(self, name: str) -> bool:
        """Whether an image belongs to it; images that differ in their suffix only belong to one shard."""
        if self.count == 1:
            return True
        stem, suffix = os.path.splitext(name)
        return hash_of(stem if suffix.lower() in KNOWN else name) % self.count == self.index


WHOLE = Shard(0, 1)


def hash_of(name: str) -> int:
    """64 bits that stand for a name, the same on every machine."""
    return int.from_bytes(blake2b(os.fsencode(name), digest_size=8).digest(), 'little')


def parse_shard(text: str, environment: Environment) -> Shard:
    """The shard of 'I/N', or of 'auto' and 'auto/N', by the variables that a scheduler or launcher has set.

    N in 'auto/N' is how many array tasks or pods there are in all, where the scheduler does not say so (Kubernetes), or
    says only how many were submitted together (a few tasks of a Slurm array, submitted again).

    Raises ValueError for another text, or where 'auto' finds nothing.
    """
    index, _, count = text.partition('/')
    if index == 'auto' and (not count or count.isdecimal()):
        return automatic_shard(environment, int(count) if count else None)
    if not (index.isdecimal() and count.isdecimal()):
        raise ValueError(f"--shard {text}: it is I/N, such as 0/64 and 63/64, 'auto', or 'auto/N'.")
    return Shard(int(index), int(count))


def automatic_shard(environment: Environment, count: int | None = None) -> Shard:
    """The shard of this process, among all processes of all array tasks or pods."""
    outer, inner = array_task(environment, count), process_of(environment)
    if outer is None and inner is None:
        raise ValueError(
            '--shard auto: no variable of Slurm (array tasks, srun), torchrun, MPI or Kubernetes (an Indexed Job) is '
            'set. Name the shard, such as --shard 0/8.'
        )
    outer, inner = outer or WHOLE, inner or WHOLE
    return Shard(outer.index * inner.count + inner.index, outer.count * inner.count)


def array_task(environment: Environment, count: int | None) -> Shard | None:
    """The task of a Slurm array or the pod of an Indexed Job; count: how many there are, where it is known."""
    if 'SLURM_ARRAY_TASK_ID' in environment:
        number = int(environment['SLURM_ARRAY_TASK_ID'])
        if count is not None:
            return Shard(number, count)
        first, last, tasks = (int(environment[f'SLURM_ARRAY_TASK_{key}']) for key in ('MIN', 'MAX', 'COUNT'))
        step = int(environment.get('SLURM_ARRAY_TASK_STEP', '1'))
        if first + (tasks - 1) * step != last:
            raise ValueError('--shard auto: the array has gaps; name the number of all its tasks, as in auto/64.')
        return Shard((number - first) // step, tasks)
    if 'JOB_COMPLETION_INDEX' in environment:
        if count is None:
            raise ValueError('--shard auto: Kubernetes does not say how many pods there are; name it, as in auto/64.')
        return Shard(int(environment['JOB_COMPLETION_INDEX']), count)
    if count is not None:
        raise ValueError(f'--shard auto/{count}: this is no task of a Slurm array, and no pod of an Indexed Job.')
    return None


def process_of(environment: Environment) -> Shard | None:
    """The process among those that torchrun, mpirun or srun started."""
    for rank, size in RANKS:
        if rank in environment and size in environment:
            return Shard(int(environment[rank]), int(environment[size]))
    if 'SLURM_STEP_ID' in environment and 'SLURM_STEP_NUM_TASKS' in environment:
        return Shard(int(environment['SLURM_PROCID']), int(environment['SLURM_STEP_NUM_TASKS']))
    return None


def local_device(environment: Environment, gpus: int) -> str:
    """The device of this process: 'auto', or, where it sees several GPUs, the one of its number on this machine."""
    number = next((environment[name] for name in LOCAL_RANKS if name in environment), None)
    return 'auto' if number is None or gpus < 2 else f'cuda:{int(number) % gpus}'
