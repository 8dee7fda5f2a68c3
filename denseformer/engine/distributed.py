"""The process group of a run, on GPUs (NCCL) and on CPUs (gloo), joined again after a restart.

mmengine's launchers select a CUDA device before anything else, and let restarted processes read addresses of dead ones.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import torch.distributed
from mmengine.config import Config
from mmengine.device import get_device
from torch.distributed import PrefixStore

SLURM = {'RANK': 'SLURM_PROCID', 'WORLD_SIZE': 'SLURM_NTASKS', 'LOCAL_RANK': 'SLURM_LOCALID'}
MPI = {
    'RANK': 'OMPI_COMM_WORLD_RANK',
    'WORLD_SIZE': 'OMPI_COMM_WORLD_SIZE',
    'LOCAL_RANK': 'OMPI_COMM_WORLD_LOCAL_RANK',
}


def join_processes(launcher: str, config: Config) -> None:
    """Enter the group of processes that `launcher` ('pytorch', 'slurm', 'mpi') started, one for each GPU or on CPUs.

    `env_cfg.dist_cfg` takes `timeout`, the seconds (1800) that a process waits for one that hangs, and `backend`, that
    of GPUs; CPUs always use gloo. Accelerators of other kinds are left to mmengine. Raises ValueError when the
    launcher's variables are not set, or for another setting.
    """
    device = get_device().partition(':')[0]
    if launcher == 'none' or device not in ('cpu', 'cuda') or torch.distributed.is_initialized():
        return
    settings = dict((config.get('env_cfg') or {}).get('dist_cfg') or {})
    timeout = timedelta(seconds=settings.pop('timeout', 1800))
    backend = settings.pop('backend', 'nccl')
    if settings:
        raise ValueError(
            f'env_cfg.dist_cfg takes backend and timeout, not {", ".join(settings)}; the address where processes meet '
            'is given by the variables MASTER_ADDR and MASTER_PORT.'
        )
    os.environ.update(process_variables(launcher, os.environ))
    if device == 'cuda':
        torch.cuda.set_device(int(os.environ['LOCAL_RANK']))
    store, rank, world_size = next(torch.distributed.rendezvous('env://', timeout=timeout))
    attempt = os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')  # torchrun's store keeps addresses of dead processes
    torch.distributed.init_process_group(
        'gloo' if device == 'cpu' else backend,
        store=PrefixStore(f'attempt_{attempt}', store),
        rank=rank,
        world_size=world_size,
        timeout=timeout,
    )


def recognized_launcher(launcher: str, environment: Mapping[str, str]) -> str:
    """The launcher that a command says; where it says 'none', that of the torchrun or mpirun that started it."""
    if launcher != 'none':
        return launcher
    if 'TORCHELASTIC_RUN_ID' in environment:
        return 'pytorch'
    return 'mpi' if int(environment.get('OMPI_COMM_WORLD_SIZE', '1')) > 1 else 'none'


def rank_in_environment(launcher: str, environment: Mapping[str, str]) -> int:
    """The number of this process before it joins the others."""
    name = {'none': '', 'slurm': SLURM['RANK'], 'mpi': MPI['RANK']}.get(launcher, 'RANK')
    return int(environment.get(name, '0'))


class LostRankError(RuntimeError):
    """Another process of the run died or hangs."""


@contextmanager
def explain_lost_ranks() -> Iterator[None]:
    """Raise LostRankError, which says what to do, for the errors by which NCCL and gloo miss another process."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.distributed.DistError) or '/gloo/' in str(error):
            raise LostRankError(
                'Another process of this run died, or was silent for longer than env_cfg.dist_cfg.timeout; its own log '
                'says more. The same command with --resume continues from the newest checkpoint.'
            ) from error
        raise


def process_variables(launcher: str, environment: Mapping[str, str]) -> dict[str, str]:
    """RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT, from what a launcher sets."""
    names = {'slurm': SLURM, 'mpi': MPI}.get(launcher, {name: name for name in SLURM})
    missing = sorted(set(names.values()) - set(environment))
    if missing:
        started = {'slurm': 'srun', 'mpi': 'mpirun'}.get(launcher, 'torchrun')
        raise ValueError(f'--launcher {launcher}: {", ".join(missing)} not set; was the command started by {started}?')
    found = {ours: environment[theirs] for ours, theirs in names.items()}
    found['MASTER_PORT'] = environment.get('MASTER_PORT', '29500')
    found['MASTER_ADDR'] = environment.get('MASTER_ADDR') or first_host(environment)
    return found


def first_host(environment: Mapping[str, str]) -> str:
    """The machine of rank 0: the first of a Slurm job's, else this one. Raises ValueError where it may be another."""
    if 'SLURM_NODELIST' not in environment:
        size = environment.get('OMPI_COMM_WORLD_SIZE')
        if environment.get('OMPI_COMM_WORLD_LOCAL_SIZE', size) != size:
            raise ValueError('--launcher mpi on several machines: name the one of rank 0, mpirun -x MASTER_ADDR=...')
        return '127.0.0.1'
    command = ['scontrol', 'show', 'hostnames', environment['SLURM_NODELIST']]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
