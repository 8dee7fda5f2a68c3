"""Comparisons of speed and memory between ours and peers, measured so that a busy machine does not decide them.

All contenders of a comparison take turns, round by round, and each round gives one ratio; a table shows the median of
the ratios and their range. Peak memory is taken in a process of its own. Arithmetic is counted by PyTorch's counter and
related to what a plain matrix product reaches in the same run.
"""

import ctypes
import importlib
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.context import BaseContext
from pathlib import Path

import torch

from benchmarks.flops import multiply_adds

MATRIX_SIDE = 1536
M_MMAP_THRESHOLD = -3
"""Option of glibc's mallopt: the number of bytes from which a block is mapped by itself."""


class AbsentError(Exception):
    """Raised by a contender that cannot take part; its message says why, and the table goes without it."""


@dataclass(frozen=True)
class Contender:
    """make: builds everything and returns the function to time; units: what the time is divided by, such as pixels.

    countable: whether to relate its arithmetic to the speed of a matrix product: not of a compiled function, into which
    PyTorch's counter cannot look, nor of a dtype that the CPU has no arithmetic for.
    """

    name: str
    make: Callable[[], Callable[[], object]]
    dtype: torch.dtype = torch.float32
    units: float = 1.0
    countable: bool = True


@dataclass(frozen=True)
class Comparison:
    """The first contender is ours; the ratios are its time over each peer's."""

    title: str
    contenders: tuple[Contender, ...]


@dataclass
class Measurement:
    """seconds, cpu_seconds: one entry per round; ratio, cpu_ratio: ours over this one, (median, least, largest)."""

    title: str
    name: str
    units: float
    gflop: float
    machine_gflops: float
    memory_mb: float | None
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    ratio: tuple[float, float, float] = (1.0, 1.0, 1.0)
    cpu_ratio: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def cpu_median(self) -> float:
        return statistics.median(self.cpu_seconds)

    @property
    def gflops(self) -> float:
        return self.gflop / self.median


def measure(comparison: Comparison, *, rounds: int, memory: Callable[[str], float] | None) -> list[Measurement]:
    """memory: the name of a contender -> its peak memory in megabytes; None leaves memory unmeasured."""
    functions, measurements = [], []
    for contender in comparison.contenders:
        try:
            function = contender.make()
        except AbsentError as reason:
            print(f'{comparison.title}, without {contender.name}: {reason}', flush=True)
            continue
        peak = memory(contender.name) if memory else None
        gflop = count_gflop(function) if contender.countable else 0.0
        machine = matrix_gflops(contender.dtype) if contender.countable else 0.0
        functions.append(function)
        measurements.append(Measurement(comparison.title, contender.name, contender.units, gflop, machine, peak))
    for _ in range(rounds):
        for measurement, function in zip(measurements, functions, strict=True):
            wall, cpu = timed(function)
            measurement.seconds.append(wall)
            measurement.cpu_seconds.append(cpu)
    ours = measurements[0]
    for measurement in measurements:
        scale = measurement.units / ours.units
        measurement.ratio = spread(ours.seconds, measurement.seconds, scale)
        measurement.cpu_ratio = spread(ours.cpu_seconds, measurement.cpu_seconds, scale)
    return measurements


def timed(function: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and of CPU time, all threads together."""
    synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def spread(ours: list[float], theirs: list[float], scale: float) -> tuple[float, float, float]:
    ratios = [a / b * scale for a, b in zip(ours, theirs, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def count_gflop(function: Callable[[], object]) -> float:
    return 2 * multiply_adds(function)


def matrix_gflops(dtype: torch.dtype) -> float:
    """The speed of a plain matrix product now, the best of five."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    a, b = torch.randn(2, MATRIX_SIDE, MATRIX_SIDE, device=device).to(dtype)
    return 2 * MATRIX_SIDE**3 / min(timed(lambda: a @ b)[0] for _ in range(5)) / 1e9


def peak_memory(module: str, title: str, name: str) -> float:
    """Megabytes at the peak of one contender of a benchmark `module`, in a fresh process."""
    with fresh_process(module).Pool(1) as pool:
        return pool.apply(working_memory_of, (module, title, name, torch.get_num_threads()))


@cache
def fresh_process(module: str) -> BaseContext:
    """Starts processes that have imported `module` and done nothing else; by forking, unless a GPU forbids it."""
    if torch.cuda.is_available():
        return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([module])
    return context


def working_memory_of(module: str, title: str, name: str, threads: int) -> float:
    torch.set_num_threads(threads)
    comparison = next(comp for comp in importlib.import_module(module).comparisons() if comp.title == title)
    return working_memory(next(contender for contender in comparison.contenders if contender.name == name))


def working_memory(contender: Contender) -> float:
    """Megabytes at the peak of building a function and calling it, weights included; in a process of its own.

    What is in use counts, as PyTorch counts it on a GPU: not the pages of files, such as libraries, which the system
    gives and takes as it likes, and not what the C library keeps for later.
    """
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        contender.make()()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    return_what_is_freed()
    before = resident_memory('VmRSS') - resident_memory('RssFile')
    with suppress(OSError):
        Path('/proc/self/clear_refs').write_text('5')  # forgets the earlier peak
    contender.make()()
    return resident_memory('VmHWM') - resident_memory('RssFile') - before


def return_what_is_freed() -> None:
    """Has the C library hand back what it keeps, and larger blocks at once; glibc keeps some, and by chance which."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 16)
        ctypes.CDLL(None).malloc_trim(0)


def resident_memory(entry: str) -> float:
    """Megabytes, by an entry of the kernel's record of this process; the peak of all anywhere but on Linux."""
    status = Path('/proc/self/status')
    if not status.exists():  # so that differences say by how much the peak has grown
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return next(float(line.split()[1]) / 2**10 for line in status.read_text().splitlines() if line.startswith(entry))
