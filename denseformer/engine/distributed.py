"""Several processes without a GPU: mmengine's launchers select a CUDA device before anything else."""

import os
import subprocess
from collections.abc import Mapping
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
    """Enter the group of processes that `launcher` ('pytorch', 'slurm', 'mpi') started on CPUs; GPUs are mmengine's.

    Raises ValueError when the launcher's variables are not set.
    """
    if launcher == 'none' or get_device() != 'cpu' or torch.distributed.is_initialized():
        return
    os.environ.update(process_variables(launcher, os.environ))
    settings = (config.get('env_cfg') or {}).get('dist_cfg') or {}
    timeout = timedelta(seconds=settings.get('timeout', 1800))
    store, rank, world_size = next(torch.distributed.rendezvous('env://', timeout=timeout))
    attempt = os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')  # torchrun's store keeps addresses of dead processes
    store = PrefixStore(f'attempt_{attempt}', store)
    torch.distributed.init_process_group('gloo', store=store, rank=rank, world_size=world_size, timeout=timeout)


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
    """The machine of rank 0: the first of a Slurm job's, else this one."""
    if 'SLURM_NODELIST' not in environment:
        return '127.0.0.1'
    command = ['scontrol', 'show', 'hostnames', environment['SLURM_NODELIST']]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
