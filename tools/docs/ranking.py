"""The picture that ranks the backbones: published mIoU and AP against measured time, memory and parameters.

`python -m tools.docs.ranking docs/images/ranking.svg` draws what `python -m benchmarks.ranking` measured: one dot a
model, variants of a family joined by a line, logarithmic axes.
"""

import json
import sys
from collections import defaultdict
from itertools import cycle
from pathlib import Path

import matplotlib

from benchmarks.ranking import RANKINGS, RESULTS

matplotlib.use('svg')
from matplotlib import pyplot as plt

AXES = {
    'ms': 'CPU time of one thread for a 512 x 512 image, ms',
    'mb': 'peak memory of a prediction, MB',
    'parameters': 'parameters of the backbone, millions',
}
MARKERS = cycle('osD^v<>pP*XhH')


def families(ranking: str) -> dict[str, list[dict]]:
    """Family -> its models in a ranking, the quickest first."""
    found = defaultdict(list)
    for entry in json.loads(RESULTS.read_text()).values():
        if entry['ranking'] == ranking:
            found[entry['backbone'].rpartition('-')[0]].append(entry)
    return {family: sorted(entries, key=lambda entry: entry['ms']) for family, entries in sorted(found.items())}


def draw(path: Path) -> None:
    matplotlib.rcParams['svg.hashsalt'] = 'ranking'  # the same file from the same numbers
    size = (7 * len(AXES), 6.5 * len(RANKINGS))
    figure, axes = plt.subplots(len(RANKINGS), len(AXES), figsize=size, sharey='row', layout='constrained')
    colors = cycle(plt.get_cmap('tab20').colors)
    styles: dict[str, dict] = defaultdict(lambda: {'color': next(colors), 'marker': next(MARKERS)})
    for row, ranking in zip(axes, RANKINGS, strict=True):
        for axis, (quantity, label) in zip(row, AXES.items(), strict=True):
            for family, entries in families(ranking.title).items():
                points = [entry[quantity] for entry in entries], [entry['value'] for entry in entries]
                axis.plot(*points, label=family, linewidth=0.8, markersize=5, **styles[family])
            axis.set(xscale='log', xlabel=label, title=ranking.title)
            axis.grid(which='both', linewidth=0.3)
        row[0].set_ylabel(f'published {"mIoU, one scale" if ranking.metric == "mIoU" else "box AP"}')
        row[-1].legend(fontsize=8, loc='center left', bbox_to_anchor=(1, 0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={'Date': None})


if __name__ == '__main__':
    draw(Path(sys.argv[1]))
