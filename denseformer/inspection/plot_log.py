"""Curves of one or more runs, drawn from the scalars that every run logs."""

import html
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

DEFAULT_KEYS = ('loss', 'lr')
NOT_A_SCORE = re.compile(r'time$|loss|[.]|^(base_lr|grad_norm|step|iter|epoch|memory)$')
Series = dict[str, dict[int, float]]


def read_run(folder: str | Path) -> Series:
    """{key: {step: value}} of a run, over all its restarts; where they overlap, the later one counts.

    Raises ValueError when the folder holds no log, or none with a curve in it.
    """
    files = sorted(Path(folder).rglob('vis_data/scalars.json'))
    if not files:
        raise ValueError(f'{folder}: holds no */vis_data/scalars.json; is it the --work-dir of a run?')
    series: Series = defaultdict(dict)
    for file in files:
        for row in map(parse_line, file.read_text().splitlines()):
            for key, value in row.items():
                series[key][int(row['step'])] = float(value)
    if not series:
        raise ValueError(f'{folder}: has nothing to draw yet; its logs hold no steps.')
    return dict(series)


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
    series = {str(run): read_run(run) for run in runs}
    draw(series, choose_keys(series.values(), keys), out)
