"""Comparisons of speed and memory between ours and peers, measured so that a busy machine does not decide them.

All contenders of a comparison take turns, round by round, and each round gives one ratio; a table shows the median of
the ratios and their range. Peak memory is taken in a process of its own. Arithmetic is counted by PyTorch's counter and
related to what a plain matrix product reaches in the same run.
"""

import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from denseformer.flops import multiply_adds

RESULTS = Path(__file__).parent / 'results'
MATRIX_SIDE = 1536


@dataclass(frozen=True)
class Contender:
    """make: builds everything and returns the function to time; units: what the time is divided by, such as pixels.

    countable: whether PyTorch's counter can look inside; it cannot look into a compiled function.
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


def measure(comparison: Comparison, *, rounds: int, memory: bool) -> list[Measurement]:
    functions = [contender.make() for contender in comparison.contenders]
    measurements = []
    for contender, function in zip(comparison.contenders, functions, strict=True):
        peak = peak_memory(comparison.title, contender.name) if memory else None
        gflop = count_gflop(function) if contender.countable else 0.0
        machine = matrix_gflops(contender.dtype)
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
    """Seconds on the clock and of processor time, all threads together."""
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
    """What a plain matrix product reaches now, the best of five."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    a, b = torch.randn(2, MATRIX_SIDE, MATRIX_SIDE, device=device).to(dtype)
    return 2 * MATRIX_SIDE**3 / min(timed(lambda: a @ b)[0] for _ in range(5)) / 1e9


def peak_memory(title: str, name: str) -> float | None:
    """Megabytes at the peak of one contender, in a fresh process; None where it cannot be had."""
    command = [
        sys.executable,
        '-m',
        'benchmarks',
        '--memory-of',
        title,
        name,
        '--threads',
        str(torch.get_num_threads()),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1]) if done.returncode == 0 and done.stdout else None


def working_memory(contender: Contender) -> float:
    """Megabytes at the peak of building a function and calling it, weights included; in a process of its own."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        contender.make()()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    before = resident_memory('VmRSS')
    with suppress(OSError):
        Path('/proc/self/clear_refs').write_text('5')  # forgets the earlier peak
    contender.make()()
    return resident_memory('VmHWM') - before


def resident_memory(entry: str) -> float:
    status = Path('/proc/self/status')
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return next(float(line.split()[1]) / 2**10 for line in status.read_text().splitlines() if line.startswith(entry))


def rows(measurements: list[Measurement]) -> Iterator[tuple[str, ...]]:
    """The cells of a table, one row per measurement."""
    for m in measurements:
        per_unit = f'{m.median / m.units * 1e9:.0f} ns' if m.units > 1 else f'{m.median * 1e3:.0f} ms'
        per_unit_cpu = f'{m.cpu_median / m.units * 1e9:.0f} ns' if m.units > 1 else f'{m.cpu_median * 1e3:.0f} ms'
        yield (
            m.name,
            per_unit,
            per_unit_cpu,
            f'{m.ratio[0]:.2f} ({m.ratio[1]:.2f} .. {m.ratio[2]:.2f})',
            f'{m.cpu_ratio[0]:.2f} ({m.cpu_ratio[1]:.2f} .. {m.cpu_ratio[2]:.2f})',
            '' if m.memory_mb is None else f'{m.memory_mb:.0f} MB',
            f'{m.gflops:.0f}' if m.gflop else '',
            f'{m.gflops / m.machine_gflops:.0%}' if m.gflop else '',
        )


HEADERS = ('', 'time', 'processor time', 'ours / this', 'in processor time', 'memory', 'GFLOP/s', 'of matmul')


def print_table(title: str, measurements: list[Measurement]) -> None:
    table = Table(*HEADERS, title=title, title_justify='left')
    for row in rows(measurements):
        table.add_row(*row)
    Console(width=140).print(table)


def machine() -> dict[str, object]:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        'processor': processor_name(),
        'gpu': gpu,
        'threads': torch.get_num_threads(),
        'torch': torch.__version__,
        'python': platform.python_version(),
    }


def processor_name() -> str:
    with suppress(OSError):
        lines = Path('/proc/cpuinfo').read_text().splitlines()
        return next((line.split(':')[1].strip() for line in lines if line.startswith('model name')), platform.machine())
    return platform.processor() or platform.machine()


def write_results(name: str, command: str, groups: dict[str, list[Measurement]], folder: Path = RESULTS) -> None:
    """<name>.json with everything measured and <name>.md with the tables."""
    folder.mkdir(exist_ok=True)
    about = {'command': command, **machine()}
    content = {**about, 'comparisons': {title: [asdict(m) for m in group] for title, group in groups.items()}}
    (folder / f'{name}.json').write_text(json.dumps(content, indent=1) + '\n')
    lines = [f'# {name}', '', f'`{command}`', '', ', '.join(f'{key} {value}' for key, value in machine().items()), '']
    for title, measurements in groups.items():
        lines += [f'## {title}', '', '| ' + ' | '.join(HEADERS) + ' |', '|' + '---|' * len(HEADERS)]
        lines += ['| ' + ' | '.join(row) + ' |' for row in rows(measurements)] + ['']
    (folder / f'{name}.md').write_text('\n'.join(lines))
