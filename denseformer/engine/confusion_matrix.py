"""The confusion matrix of a test: confusion_matrix.json and a figure of it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTHING, MISSED = 'nothing there', 'missed'
MOST_NUMBERED = 20
"""Classes up to which the figure's cells carry numbers."""


def write_confusion(counts: np.ndarray, classes: Sequence[str], folder: str | Path) -> Path:
    """Write both into `folder`; returns the figure's path.

    counts: (K + 1, K + 1), true class by found class; the last row is found where nothing is, the last column missed.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    table = {'true': [*classes, NOTHING], 'found': [*classes, MISSED], 'counts': counts.tolist()}
    (folder / 'confusion_matrix.json').write_text(json.dumps(table) + '\n')
    figure = draw_confusion(counts, table['true'], table['found'])
    figure.savefig(folder / 'confusion_matrix.png', dpi=120)
    return folder / 'confusion_matrix.png'


def draw_confusion(counts: np.ndarray, true: Sequence[str], found: Sequence[str]) -> 'Figure':
    """Shades are shares of a row, of all objects of a class."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    side = np.clip(0.5 * len(true), 3, 16)
    figure = Figure(figsize=(side + 1.5, side + 1), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    axes.set(xlabel='found', ylabel='true')
    axes.set_xticks(range(len(found)), found, rotation=90)
    axes.set_yticks(range(len(true)), true)
    if len(true) <= MOST_NUMBERED + 1:
        for (i, j), count in np.ndenumerate(counts):
            if count:
                shade = 'white' if shares[i, j] > 0.5 else 'black'
                axes.text(j, i, f'{count:,}', ha='center', va='center', color=shade)
    return figure
