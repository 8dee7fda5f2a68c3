"""The number of threads of a command, chosen from the cores that are free before PyTorch is loaded.

OpenMP's threads wait for one another at the end of every operator, spinning. On a core that another program uses, the
others spin for the thread that is not running: with as many threads as cores, a training step beside a busy program
takes many times as long as with one thread. So a command takes as many threads as cores are free, and where some are
not, its threads sleep while they wait (OMP_WAIT_POLICY=passive). Settings of the user are left alone. Everything is set
in the environment: data workers and subprocesses inherit it.
"""

import math
import os
import sys
import time
from collections.abc import Mapping, MutableMapping
from pathlib import Path

COUNTS = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS')
WAITING = 'OMP_WAIT_POLICY'
OWN_SETTINGS = (*COUNTS, WAITING, 'OMP_THREAD_LIMIT', 'OMP_PROC_BIND', 'GOMP_SPINCOUNT', 'KMP_BLOCKTIME')
"""Variables by which users choose for themselves."""
LOCAL_PROCESSES = ('LOCAL_WORLD_SIZE', 'SLURM_NTASKS_PER_NODE', 'OMPI_COMM_WORLD_LOCAL_SIZE')
"""Variables of launchers: the number of processes that share this machine."""
RANKS = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')
INTERVAL = 0.25
"""Seconds over which the use of the cores is measured."""


def choose(threads: int | None = None) -> None:
    """Set the number of threads of this command and its children, and say on stderr, in one line, why.

    threads: of `--threads`; None chooses from the free cores. Raises ValueError for less than one. Where PyTorch is
    loaded already, as when a command is called from Python, only `threads` has an effect.
    """
    if threads is not None and threads < 1:
        raise ValueError(f'--threads {threads}: at least 1.')
    if 'torch' in sys.modules:
        if threads is not None:
            sys.modules['torch'].set_num_threads(threads)
        return
    line = choose_for(os.environ, threads)
    if not any(os.environ.get(rank, '0') != '0' for rank in RANKS):
        print(f'threads: {line}', file=sys.stderr)


def choose_for(environment: MutableMapping[str, str], threads: int | None) -> str:
    """Set the variables of OpenMP and of what else starts threads; returns what was chosen and why."""
    total = usable_cores()
    if threads is not None:
        set_variables(environment, threads, passive=threads > 1)
        return f'{threads}, as --threads says'
    own = [name for name in OWN_SETTINGS if name in environment]
    if own:
        return f'as {", ".join(f"{name}={environment[name]}" for name in own)} says'
    processes = local_processes(environment)
    if processes > 1:
        share = max(1, total // processes)
        set_variables(environment, share, passive=share > 1)
        return f'{share} of {total}, which {processes} processes share'
    busy = busy_cores(INTERVAL)
    free = max(1, total - round(busy))
    set_variables(environment, free, passive=free < total)
    return f'{free} of {total}, {describe(total, round(busy))}'


def describe(total: int, busy: int) -> str:
    """'the other is busy', '3 are busy' ..., of `total` cores."""
    if busy == 0:
        return 'none is busy' if total > 1 else 'it is free'
    if total == 1:
        return 'it is busy'
    if total == 2:
        return 'the other is busy' if busy == 1 else 'both are busy'
    return f'{min(busy, total)} {"is" if busy == 1 else "are"} busy'


def set_variables(environment: MutableMapping[str, str], threads: int, *, passive: bool) -> None:
    """Let OpenMP, MKL and OpenBLAS start `threads` threads; passive: which sleep while they wait."""
    environment.update(dict.fromkeys(COUNTS, str(threads)))
    if passive:
        environment.setdefault(WAITING, 'passive')


def local_processes(environment: Mapping[str, str]) -> int:
    """The number of processes that a launcher started on this machine, 1 without a launcher."""
    counts = (environment.get(name, '') for name in LOCAL_PROCESSES)
    return next((int(count) for count in counts if count.isdigit()), 1)


def usable_cores() -> int:
    """The cores that this process may use: of its affinity, and of its control group's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, cpu_quota(Path('/sys/fs/cgroup')))))


def cpu_quota(root: Path) -> float:
    """Cores that the control group below `root` (version 2, else 1) may use at a time; infinite without a limit."""
    try:
        quota, period = (root / 'cpu.max').read_text().split()
        return math.inf if quota == 'max' else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota, period = ((root / f'cpu/cpu.cfs_{name}_us').read_text() for name in ('quota', 'period'))
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError):
        return math.inf


def busy_cores(seconds: float, stat: Path = Path('/proc/stat')) -> float:
    """The number of usable cores that other programs keep busy; 0 where the system does not say.

    seconds: the time over which it is measured.
    """
    if not stat.is_file() or not hasattr(os, 'sched_getaffinity'):
        return 0.0
    before = core_times(stat.read_text())
    time.sleep(seconds)
    after = core_times(stat.read_text())
    busy = 0.0
    for core in os.sched_getaffinity(0) & before.keys() & after.keys():
        idle, total = (after[core][i] - before[core][i] for i in range(2))
        busy += 1 - idle / total if total > 0 else 0.0
    return busy


def core_times(stat: str) -> dict[int, tuple[int, int]]:
    """{core: (idle ticks, all ticks)} of the text of /proc/stat."""
    times = {}
    for line in stat.splitlines():
        name, *ticks = line.split() or ['']
        if name.startswith('cpu') and name[3:].isdigit():
            user_to_steal = [int(tick) for tick in ticks[:8]]
            times[int(name[3:])] = user_to_steal[3] + user_to_steal[4], sum(user_to_steal)
    return times
