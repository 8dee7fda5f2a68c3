"""Tables of measurements, and the files that keep them: each comparison with the command and machine it was made by."""

import json
import platform
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.harness import Measurement

RESULTS = Path(__file__).parent / 'results'
HEADERS = ('', 'time', 'CPU time', 'ours / this', 'in CPU time', 'memory', 'GFLOP/s', 'of matmul')


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


def print_table(title: str, measurements: list[Measurement]) -> None:
    table = Table(*HEADERS, title=title, title_justify='left')
    for row in rows(measurements):
        table.add_row(*row)
    Console(width=140).print(table)


def machine() -> dict[str, object]:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        'cpu': cpu_name(),
        'gpu': gpu,
        'threads': torch.get_num_threads(),
        'torch': torch.__version__,
        'python': platform.python_version(),
    }


def cpu_name() -> str:
    with suppress(OSError):
        lines = Path('/proc/cpuinfo').read_text().splitlines()
        return next((line.split(':')[1].strip() for line in lines if line.startswith('model name')), platform.machine())
    return platform.processor() or platform.machine()


def kept_results(name: str, folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """The comparisons of <name>.json by title, none where it does not stand."""
    file = folder / f'{name}.json'
    return json.loads(file.read_text()) if file.is_file() else {}


def keep_results(
    name: str, command: str, measured: dict[str, list[Measurement]], titles: Sequence[str], folder: Path = RESULTS
) -> None:
    """Puts comparisons, by title, among those of <name>.json, replacing older ones, and writes <name>.md from all.

    titles: the order of the benchmark; comparisons that it no longer makes come last.
    """
    folder.mkdir(exist_ok=True)
    about = {'command': command, **machine()}
    kept = kept_results(name, folder)
    kept |= {title: {**about, 'measurements': [asdict(m) for m in group]} for title, group in measured.items()}
    place = {title: i for i, title in enumerate(titles)}
    ordered = dict(sorted(kept.items(), key=lambda item: place.get(item[0], len(place))))
    (folder / f'{name}.json').write_text(json.dumps(ordered, indent=1) + '\n')
    (folder / f'{name}.md').write_text('\n'.join(page(name, ordered)))


def page(name: str, comparisons: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield from (f'# {name}', '')
    for title, comparison in comparisons.items():
        measurements = [Measurement(**entry) for entry in comparison['measurements']]
        conditions = [f'{key} {value}' for key, value in comparison.items() if key not in ('command', 'measurements')]
        yield from (f'## {title}', '', f'`{comparison["command"]}`; {", ".join(conditions)}', '')
        yield from (cells(HEADERS), '|' + '---|' * len(HEADERS), *map(cells, rows(measurements)), '')


def cells(row: Iterable[str]) -> str:
    return f'| {" | ".join(row)} |'
