"""Curves of one or more runs, drawn from the scalars that every run logs."""

import html
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

DEFAULT_KEYS = ('loss', 'val_loss', 'lr')
NOT_A_SCORE = re.compile(r'time$|loss|[.]|^(base_lr|grad_norm|step|iter|epoch|memory)$')
Series = dict[str, dict[int, float]]


def read_runs(folder: str | Path) -> dict[str, Series]:
    """{name: its curves} of the runs in a folder, in the order they began: the folder's name, with the time of the
    start behind it where there are several.

    Curves are {key: {step: value}}, over all restarts of a run; where they overlap, the later one counts. A start
    whose `run.json` has another id than the one before begins a run. Raises ValueError when the folder holds no
    log, or none with a curve in it.
    """
    files = sorted(Path(folder).rglob('vis_data/scalars.json'))
    if not files:
        raise ValueError(f'{folder}: holds no */vis_data/scalars.json; is it the --work-dir of a run?')
    runs: dict[str, Series] = {}
    current: str | None = None
    series: Series = defaultdict(dict)
    for file in files:
        run = report_of(file).get('run')
        rows = [row for row in map(parse_line, file.read_text().splitlines()) if row.keys() - {'step'}]
        if not any('step' in row for row in rows):
            continue
        if not runs or (run is not None and run != current):
            current, series = run, defaultdict(dict)
            runs[file.parent.parent.name] = series
        for row in rows:
            for key, value in row.items():
                series[key][int(row['step'])] = float(value)
    if not runs:
        raise ValueError(f'{folder}: has nothing to draw yet; its logs hold no steps.')
    names = [str(folder)] if len(runs) == 1 else [f'{folder} {start}' for start in runs]
    return dict(zip(names, map(dict, runs.values()), strict=True))


def report_of(log: Path) -> dict[str, Any]:
    """The `run.json` of the start that wrote a log; empty where there is none."""
    try:
        report = json.loads((log.parent.parent / 'run.json').read_text())
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def parse_line(line: str) -> Mapping[str, float]:
    """The numbers of a line; none for the half line that a killed run leaves at the end."""
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    if not isinstance(row, dict) or 'step' not in row:
        return {}
    return {key: value for key, value in row.items() if isinstance(value, (int, float))}


def choose_keys(runs: Iterable[Series], wanted: Sequence[str] | None) -> list[str]:
    """The keys to draw: those asked for, else loss, learning rate and all scores of validation.

    Raises ValueError for one that no run has.
    """
    runs = list(runs)
    known = list(dict.fromkeys(key for run in runs for key in run))
    if wanted is None:
        scores = [key for key in known if key not in DEFAULT_KEYS and not NOT_A_SCORE.search(key)]
        return [key for key in DEFAULT_KEYS if key in known] + scores
    unknown = [key for key in wanted if key not in known]
    if unknown:
        raise ValueError(f'no run has {", ".join(unknown)}; there are {", ".join(known)}.')
    return list(wanted)


def draw(runs: Mapping[str, Series], keys: Sequence[str], out: str | Path) -> None:
    """One panel per key, one line per run, to a .png, .svg, .pdf or .html file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(2, len(keys))
    rows = -(-len(keys) // columns)
    figure = Figure(figsize=(6 * columns, 3.5 * rows), layout='constrained')
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for panel, key in zip(panels, keys, strict=False):
        for name, run in runs.items():
            points = sorted(run.get(key, {}).items())
            steps, values = [step for step, _ in points], [value for _, value in points]
            panel.plot(steps, values, label=name, marker='.', markersize=3)
        panel.set(title=key, xlabel='step')
        panel.grid(alpha=0.3)
        panel.legend()
    for panel in list(figure.axes)[len(keys) :]:
        panel.remove()
    save(figure, Path(out), ', '.join(runs))


def save(figure: Any, out: Path, title: str) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix != '.html':
        figure.savefig(out, dpi=120)
        return
    picture = io.StringIO()
    figure.savefig(picture, format='svg')
    svg = picture.getvalue()
    page = f'<!doctype html><meta charset="utf-8"><title>{html.escape(title)}</title>{svg[svg.index("<svg") :]}'
    out.write_text(page)


def plot(runs: Sequence[str | Path], out: str | Path, keys: Sequence[str] | None = None) -> None:
    """Draw the curves of the runs in the folders `runs` to a .png, .svg, .pdf or .html file.

    keys: what to draw; None draws loss, learning rate and the scores of validation. Raises ValueError for a folder
    without a log, or a key that no run has.
    """
    series = {name: curves for run in runs for name, curves in read_runs(run).items()}
    draw(series, choose_keys(series.values(), keys), out)
