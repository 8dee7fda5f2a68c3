"""How far a run is, over all its shards: one line, one page, one file for Prometheus.

All of it is read from what the processes write every few seconds, a small file per shard; nothing listens anywhere.
"""

import html
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from denseformer.inference.merging import has_shards, shards_of
from denseformer.inference.writers import FINISHED, PROGRESS, place_of, read_json

SILENT = 60.0
"""Seconds without news after which a shard counts as stopped; a process that works writes every few seconds."""
STATES = ('finished', 'running', 'stopped', 'waiting')


@dataclass(frozen=True)
class Part:
    """The progress of one shard, or of a run without shards.

    expected: about how many images it has; rate: images per second; updated: when it was last heard of.
    """

    name: str
    state: str
    done: int = 0
    failed: int = 0
    expected: int | None = None
    rate: float = 0.0
    seconds: float = 0.0
    updated: float = 0.0
    host: str = ''

    @property
    def remaining(self) -> float | None:
        """Seconds until it is through at its present rate, where that can be said."""
        if self.state == 'finished':
            return 0.0
        if self.state != 'running' or not self.expected or not self.rate:
            return None
        return max(0, self.expected - self.done - self.failed) / self.rate


@dataclass(frozen=True)
class Status:
    """The progress of all parts of a run."""

    out: str
    parts: Sequence[Part]

    def count(self, state: str) -> int:
        return sum(part.state == state for part in self.parts)

    def total(self, what: str) -> float:
        return sum(getattr(part, what) for part in self.parts)

    @property
    def complete(self) -> bool:
        """Whether all parts are finished."""
        return self.count('finished') == len(self.parts)

    @property
    def rate(self) -> float:
        """Images per second of all parts that run."""
        return sum(part.rate for part in self.parts if part.state == 'running')

    @property
    def expected(self) -> int | None:
        """About how many images there are; parts that do not know count as many as the others on average."""
        known = [part.done + part.failed if part.state == 'finished' else part.expected for part in self.parts]
        numbers = [number for number in known if number is not None]
        return round(sum(numbers) / len(numbers) * len(known)) if numbers else None

    @property
    def slowest(self) -> Part | None:
        """The running part that will be through last."""
        running = [part for part in self.parts if part.remaining is not None and part.state == 'running']
        return max(running, key=lambda part: part.remaining or 0.0, default=None)

    @property
    def remaining(self) -> float | None:
        """Seconds until all is done, if those that run go on like this: by the sum, and by the slowest part."""
        if self.complete:
            return 0.0
        if not self.rate or self.expected is None:
            return None
        rest = max(0.0, self.expected - self.total('done') - self.total('failed')) / self.rate
        return max(rest, (self.slowest.remaining or 0.0) if self.slowest else 0.0)


def status_of(root: Path) -> Status:
    """The status of a run's output folder; raises ValueError for a folder that is none."""
    now = time.time()
    if has_shards(root):
        parts = [part_of(place_of(root, shard), str(shard), now) for shard in shards_of(root)]
    elif (root / PROGRESS).is_file():
        part = part_of(root, 'all', now)
        ended = part.state == 'stopped' and read_json(root / 'summary.json').get('interrupted') is False
        parts = [replace(part, state='finished', expected=part.done + part.failed) if ended else part]
    else:
        raise ValueError(f"'{root}' is no output of `denseformer infer`: it has no shards, and no {PROGRESS}.")
    return Status(str(root), parts)


def part_of(place: Path, name: str, now: float) -> Part:
    """The progress that one shard wrote."""
    finished, progress = read_json(place / FINISHED), read_json(place / PROGRESS)
    if not progress:
        return Part(name, 'waiting')
    known: dict[str, Any] = {
        key: progress[key] for key in ('done', 'failed', 'expected', 'rate', 'seconds', 'updated', 'host')
    }
    if finished:
        images, failed = finished['images'], finished['failed']
        return Part(name, 'finished', **{**known, 'done': images - failed, 'failed': failed, 'expected': images})
    stopped = progress['over'] or now - progress['updated'] > SILENT
    return Part(name, 'stopped' if stopped else 'running', **known)


def line_of(status: Status) -> str:
    """The status in one line."""
    expected = f' of about {status.expected:,}' if status.expected is not None and not status.complete else ''
    words = [f'{status.total("done"):,} done{expected}', f'{status.total("failed"):,} failed']
    words.append(f'{status.rate:.1f} images/s')
    if status.complete:
        words.append('complete')
    elif status.remaining is None:
        words.append('time left unknown')
    else:
        words.append(f'about {duration(status.remaining)} left')
    if len(status.parts) > 1:
        counts = ', '.join(f'{status.count(state)} {state}' for state in STATES if status.count(state))
        words.append(f'shards: {counts}')
    if status.slowest is not None and len(status.parts) > 1:
        words.append(f'slowest {status.slowest.name}, {duration(status.slowest.remaining or 0.0)} left')
    return '; '.join(words)


def duration(seconds: float) -> str:
    """Seconds as 2 d 3 h, 3 h 20 min, 5 min or 40 s."""
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days:
        return f'{days} d {hours % 24} h'
    if hours:
        return f'{hours} h {minutes % 60} min'
    return f'{minutes} min' if minutes else f'{int(seconds)} s'


def metrics_of(status: Status) -> str:
    """The status in Prometheus' text format, for node_exporter's textfile collector."""
    gauges = {
        'images_done': ('Images that were predicted.', status.total('done')),
        'images_failed': ('Images that failed.', status.total('failed')),
        'images_expected': ('About how many images there are.', status.expected),
        'images_per_second': ('Rate of all processes that run.', status.rate),
        'seconds_left': ('Seconds until all is done at this rate.', status.remaining),
        'busy_seconds': ('Seconds that processes have worked, all together.', status.total('seconds')),
    }
    run = escaped(status.out)
    lines = []
    for name, (about, value) in gauges.items():
        if value is not None:
            lines += [f'# HELP denseformer_{name} {about}', f'# TYPE denseformer_{name} gauge']
            lines.append(f'denseformer_{name}{{out="{run}"}} {value:g}')
    lines += ['# HELP denseformer_shards Shards by state.', '# TYPE denseformer_shards gauge']
    lines += [f'denseformer_shards{{out="{run}",state="{state}"}} {status.count(state)}' for state in STATES]
    return '\n'.join(lines) + '\n'


def escaped(text: str) -> str:
    """A label's value, as Prometheus' text format writes it."""
    return text.replace('\\', r'\\').replace('"', r'\"').replace('\n', r'\n')


def write_page(path: Path, status: Status) -> None:
    """Write a page about the status that needs nothing else."""
    replace_file(path, ''.join(page_of(status)))


def replace_file(path: Path, text: str) -> None:
    """Write a file so that nobody, such as a collector of metrics, sees half of it."""
    unfinished = path.with_name(f'.{path.name}.{os.getpid()}')
    unfinished.write_text(text, encoding='utf-8')
    os.replace(unfinished, path)


def page_of(status: Status) -> Iterator[str]:
    """The page: what there is in all, a bar per shard, those that stopped first, then the slowest."""
    yield HEAD
    yield f'<h1>Prediction</h1><p>{html.escape(status.out)}</p><p><b>{html.escape(line_of(status))}</b></p>'
    yield '<table><tr><th>shard</th><th>state</th><th>progress</th><th>done</th><th>failed</th><th>images/s</th>'
    yield '<th>left</th><th>machine</th><th>last heard of</th></tr>'
    order = {'stopped': 0, 'running': 1, 'waiting': 2, 'finished': 3}
    for part in sorted(status.parts, key=lambda part: (order[part.state], -(part.remaining or 0.0))):
        share = 100 * (part.done + part.failed) / part.expected if part.expected else 0
        left = '' if part.remaining is None else duration(part.remaining)
        heard = time.strftime('%d %b %H:%M:%S', time.localtime(part.updated)) if part.updated else ''
        failed = f'<b class="bad">{part.failed:,}</b>' if part.failed else '0'
        yield (
            f'<tr class="{part.state}"><td>{part.name}</td><td>{part.state}</td>'
            f'<td class="bar"><i style="width:{min(share, 100):.1f}%"></i></td><td>{part.done:,}</td><td>{failed}</td>'
            f'<td>{part.rate:.1f}</td><td>{left}</td><td>{html.escape(part.host)}</td><td>{heard}</td></tr>'
        )
    yield '</table></body></html>\n'


HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Progress</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
td, th { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8884; }
.bar { width: 30%; } .bar i { display: block; height: .7em; background: #3b7dd8; border-radius: 2px; }
.finished .bar i { background: #3f9b57; } .stopped, .bad { color: #c8402f; } .stopped .bar i { background: #c8402f; }
</style></head><body>
"""
