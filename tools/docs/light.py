"""The tables of light backbones in the performance page, from what `python -m benchmarks light` measured.

`python -m tools.docs.light docs/performance.md` replaces the tables, where their heads stand in the page.
"""

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import Measurement, spread
from benchmarks.light import AUTHORS, SIDES, TIMM, VARIANTS, title, title_beside_authors
from benchmarks.tables import kept_results

FORMS = ('ours', 'ours, fused', 'ours, ONNX Runtime')
HEADS = (
    '| CPU time, ms | 224: eager | fused | ONNX Runtime | 512: eager | fused | ONNX Runtime | memory at 512, MB |',
    "| beside timm's | 224: eager | fused | 512: eager | fused | memory at 512 |",
    '| beside the authors | 224 | memory | 512 | memory |',
)
THEIRS = "the authors'"
Measured = Mapping[str, Measurement]
"""Measurements by the contender's name."""


def measured(kept: Mapping[str, Any], titles: Iterable[str]) -> list[Measured]:
    """The measurements of each of the comparisons, none of one that was not measured."""
    groups = (kept.get(one, {'measurements': ()})['measurements'] for one in titles)
    return [{entry['name']: Measurement(**entry) for entry in group} for group in groups]


def variants() -> Iterator[tuple[str, str]]:
    yield from ((name, arch) for name, archs in VARIANTS.items() for arch in archs)


def own_rows(kept: Mapping[str, Any]) -> Iterator[str]:
    """Milliseconds of each form, and the memory of the eager one and in ONNX Runtime."""
    for name, arch in variants():
        sides = measured(kept, (title(name, arch, side) for side in SIDES))
        if any(sides):
            times = [milliseconds(found.get(form)) for found in sides for form in FORMS]
            yield row(f'{name}-{arch}', *times, memory(sides[-1].get(FORMS[0]), sides[-1].get(FORMS[-1])))


def peer_rows(kept: Mapping[str, Any]) -> Iterator[str]:
    """Ratios of CPU time, ours over timm's, eager and fused."""
    for name, arch in variants():
        sides = measured(kept, (title(name, arch, side) for side in SIDES))
        if name in TIMM and any("timm's" in found for found in sides):
            ratios = [ratio(found, f'ours{form}', f"timm's{form}") for found in sides for form in ('', ', fused')]
            yield row(f'{name}-{arch}', *ratios, memory(sides[-1].get('ours'), sides[-1].get("timm's")))


def authors_rows(kept: Mapping[str, Any]) -> Iterator[str]:
    """Ratios of CPU time and memory, ours over the authors'."""
    for name in AUTHORS:
        sides = measured(kept, (title_beside_authors(name, side) for side in SIDES))
        if any(THEIRS in found for found in sides):
            cells = ((ratio(found, 'ours', THEIRS), memory(found.get('ours'), found.get(THEIRS))) for found in sides)
            yield row(f'{name}-{VARIANTS[name][0]}', *itertools.chain(*cells))


def milliseconds(found: Measurement | None) -> str:
    return f'{1000 * found.cpu_median:.0f}' if found else ''


def memory(*found: Measurement | None) -> str:
    return ' beside '.join(f'{one.memory_mb:.0f}' for one in found if one and one.memory_mb is not None)


def ratio(found: Measured, ours: str, theirs: str) -> str:
    """The ratio of CPU times; empty where either took no part."""
    if ours not in found or theirs not in found:
        return ''
    median, least, largest = spread(found[ours].cpu_seconds, found[theirs].cpu_seconds, 1.0)
    return f'{median:.2f} ({least:.2f} .. {largest:.2f})'


def row(*cells: str) -> str:
    return f'| {" | ".join(cells)} |'


def with_table(lines: list[str], head: str, rows: Iterator[str]) -> list[str]:
    """The page with other rows below the `head` of one of its tables."""
    first = lines.index(head) + 2
    last = next((i for i in range(first, len(lines)) if not lines[i].startswith('|')), len(lines))
    return [*lines[:first], *rows, *lines[last:]]


def main(page: str) -> None:
    kept, lines = kept_results('light'), Path(page).read_text().splitlines()
    for head, rows in zip(HEADS, (own_rows(kept), peer_rows(kept), authors_rows(kept)), strict=True):
        lines = with_table(lines, head, rows)
    Path(page).write_text('\n'.join(lines) + '\n')


if __name__ == '__main__':
    main(*sys.argv[1:])
