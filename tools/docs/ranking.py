"""The pictures that rank the backbones: published mIoU and AP against measured time, memory and parameters.

`python -m tools.docs.ranking docs/images` draws what `python -m benchmarks.ranking` measured, a picture for each
quantity and a panel for each ranking. A dot is a model, and its name the part of the recipe's that the panel leaves
open. Named are those that no other beats in both quantities, the front, and the best of each other family.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np

from benchmarks.ranking import RANKINGS, RESULTS, Ranking
from denseformer.registry import MODELS

matplotlib.use('svg')
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

QUANTITIES = {
    'ms': 'CPU time of one thread for a 512 x 512 image, ms',
    'mb': 'peak memory of predicting a 512 x 512 image, MB',
    'parameters': 'parameters of the backbone, millions',
}
METRICS = {'mIoU': 'published mIoU of one scale', 'bbox_mAP': 'published box AP'}
COLORS = {
    'light': '#c77800',
    'convolution': '#00875f',
    'windows': '#0b4fa3',
    'neighborhood': '#2f9ad8',
    'global_attention': '#c0508f',
    'linear_attention': '#7f3c8d',
    'state_space': '#d0381c',
    'spectral': '#8c6d31',
    'plain': '#666666',
}
"""Colors by the packages of `denseformer.backbones`."""
WIDTH, HEIGHT = 9.375, 4.9
"""The size of a panel, in inches: 900 pixels wide."""
STYLE = {
    'svg.fonttype': 'none',  # text stays text: a tenth of the size
    'svg.hashsalt': 'ranking',  # the same file from the same numbers
    'font.sans-serif': ['DejaVu Sans', 'Arial'],  # others are stored with every text
    'font.size': 8,
    'axes.spines.top': False,
    'axes.spines.right': False,
}
Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""


@dataclass(frozen=True)
class Model:
    """A dot: `cost` of its quantity and published `value`; kind: its family's package in `denseformer.backbones`."""

    name: str
    family: str
    kind: str
    cost: float
    value: float


def models(entries: Mapping[str, Mapping], ranking: Ranking, quantity: str) -> list[Model]:
    """The models of a ranking, the cheapest first."""
    found = []
    for recipe, entry in entries.items():
        if entry['ranking'] == ranking.title:
            before, after = ranking.pattern.removesuffix('.py').split('*')
            family = entry['backbone'].rpartition('-')[0]
            name = recipe.removeprefix(before).removesuffix(after)
            found.append(Model(name, family, kind(family), entry[quantity], entry['value']))
    return sorted(found, key=lambda model: (model.cost, -model.value))


def kind(family: str) -> str:
    module = MODELS.get(f'denseformer.{family}').__module__.split('.')
    return next((part for part in module if part in COLORS), 'plain')


def front(dots: Sequence[Model]) -> list[Model]:
    """The dots, of those sorted by cost, that are better than all cheaper ones."""
    found: list[Model] = []
    for dot in dots:
        if not found or dot.value > found[-1].value:
            found.append(dot)
    return found


def families(dots: Sequence[Model]) -> dict[str, list[Model]]:
    found = defaultdict(list)
    for dot in dots:
        found[dot.family].append(dot)
    return found


def placed(
    anchors: np.ndarray, sizes: np.ndarray, toward: Sequence[float], dots: np.ndarray, radius: float, bounds: Box
) -> list[Box | None]:
    """Boxes of labels (N, 2) beside their anchors (N, 2), off one another and the `dots` (M, 2); None where none fits.

    The nearest free place counts, and of equally near ones that in the direction `toward` of the label, in degrees.
    Labels that come first are placed first.
    """
    dots = np.concatenate((dots - radius, dots + radius), 1)
    taken = np.empty((0, 4))
    found: list[Box | None] = []
    for anchor, size, degrees in zip(anchors, sizes, toward, strict=True):
        boxes = np.array([*places(anchor, size, degrees, radius)])
        inside = ((boxes[:, :2] >= bounds[:2]) & (boxes[:, 2:] <= bounds[2:])).all(1)
        free = boxes[inside & ~overlap(boxes, np.concatenate((dots, taken))).any(1)]
        found.append(tuple(free[0]) if len(free) else None)
        taken = np.concatenate((taken, free[:1]))
    return found


def places(anchor: np.ndarray, size: np.ndarray, toward: float, radius: float) -> Iterator[np.ndarray]:
    """Boxes around an anchor, at growing distances."""
    for distance in radius * np.arange(1.5, 16, 1.5):
        for turn in (0, 45, -45, 90, -90, 135, -135, 180, 22.5, -22.5, 67.5, -67.5, 112.5, -112.5, 157.5, -157.5):
            direction = np.array([np.cos(np.radians(toward + turn)), np.sin(np.radians(toward + turn))])
            center = anchor + direction * (distance + size / 2)
            yield np.concatenate((center - size / 2, center + size / 2))


def overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether boxes (N, 4) and others (M, 4) overlap: (N, M)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return (low < high).all(2)


def draw_panel(axis: Axes, dots: Sequence[Model], ranking: Ranking, quantity: str) -> None:
    best = front(dots)
    axis.step([d.cost for d in best], [d.value for d in best], where='post', color='#bbbbbb', linewidth=1.2)
    for group in families(dots).values():
        line = {'color': COLORS[group[0].kind], 'linewidth': 0.5, 'alpha': 0.4}
        axis.plot([d.cost for d in group], [d.value for d in group], **line)
    axis.scatter(
        [d.cost for d in dots],
        [d.value for d in dots],
        s=26,
        c=[COLORS[d.kind] for d in dots],
        edgecolors=['black' if d in best else 'white' for d in dots],
        linewidths=[0.9 if d in best else 0.4 for d in dots],
        zorder=4,
    )
    recipe = ranking.pattern.removesuffix('.py').replace('*', 'NAME')
    title = f'{ranking.title}   (denseformer train {recipe})'
    axis.set_title(title, loc='left', fontsize=9, fontweight='bold', pad=20)
    axis.set(xscale='log', xlabel=QUANTITIES[quantity], ylabel=METRICS[ranking.metric])
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter('{x:g}')
    axis.xaxis.set_minor_locator(NullLocator())
    axis.margins(x=0.08, y=0.05)
    axis.grid(linewidth=0.3)
    kinds = {dot.kind for dot in dots}
    for one in (one for one in COLORS if one in kinds):
        axis.scatter([], [], s=26, color=COLORS[one], label=one.replace('_', ' '))
    axis.legend(
        loc='lower left', bbox_to_anchor=(-0.01, 0.99), ncols=9, frameon=False, columnspacing=1, handletextpad=0
    )


def name_dots(axis: Axes, dots: Sequence[Model]) -> None:
    """The front in bold, at its outer side; then the best of each family that has no dot there."""
    best = front(dots)
    at_front = {dot.family for dot in best}
    others = [max(group, key=lambda d: d.value) for name, group in families(dots).items() if name not in at_front]
    named = [*best, *others]
    weights = ['bold'] * len(best) + ['normal'] * len(others)
    texts = [axis.text(0.5, 0.5, dot.name, fontweight=weight) for dot, weight in zip(named, weights, strict=True)]
    extents = [text.get_window_extent() for text in texts]
    boxes = placed(
        axis.transData.transform([(dot.cost, dot.value) for dot in named]),
        np.array([(extent.width, extent.height) for extent in extents]),
        [135] * len(best) + [-45] * len(others),
        axis.transData.transform([(dot.cost, dot.value) for dot in dots]),
        radius=4 * axis.figure.dpi / 72,
        bounds=axis.get_window_extent().extents,
    )
    for dot, text, box in zip(named, texts, boxes, strict=True):
        text.remove()
        if box:
            color = COLORS[dot.kind]
            axis.annotate(
                dot.name,
                (dot.cost, dot.value),
                axis.transData.inverted().transform(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)),
                color=color,
                fontweight=text.get_fontweight(),
                va='center',
                ha='center',
                bbox={'pad': 0, 'color': 'white', 'alpha': 0.7},  # over the lines
                arrowprops={'arrowstyle': '-', 'linewidth': 0.5, 'color': color, 'shrinkA': 0, 'shrinkB': 3},
            )


def draw(path: Path, quantity: str) -> None:
    entries = json.loads(RESULTS.read_text())
    panels = {ranking: models(entries, ranking, quantity) for ranking in RANKINGS}
    panels = {ranking: dots for ranking, dots in panels.items() if dots}
    with matplotlib.rc_context(STYLE):
        size = (WIDTH, HEIGHT * len(panels))
        figure, axes = plt.subplots(len(panels), figsize=size, squeeze=False, layout='constrained')
        for axis, (ranking, dots) in zip(axes.flat, panels.items(), strict=True):
            draw_panel(axis, dots, ranking, quantity)
        figure.draw_without_rendering()  # so that the panels have their places
        for axis, dots in zip(axes.flat, panels.values(), strict=True):
            name_dots(axis, dots)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={'Date': None})
        plt.close(figure)


def main(folder: str) -> None:
    for quantity in QUANTITIES:
        draw(Path(folder) / f'ranking_{quantity}.svg', quantity)


if __name__ == '__main__':
    main(*sys.argv[1:])
