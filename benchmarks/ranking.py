"""Time and memory of every backbone that has a published dense result, for the picture that ranks them.

`python -m benchmarks.ranking` measures each variant once, in a process of its own and with one thread: the CPU time of
the maps of one 512 x 512 image, float32, the least of three, and the peak memory, weights included. What
results/ranking.json holds already is left as it is; delete the file to measure all again.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from benchmarks.harness import Contender, fresh_process, timed, working_memory
from denseformer.config.shipped import config_folder
from denseformer.registry import MODELS

RESULTS = Path(__file__).parent / 'results/ranking.json'
SIDE, ROUNDS = 512, 3


@dataclass(frozen=True)
class Ranking:
    """Recipes whose results compare: a pattern of their names, and the metric that they publish."""

    title: str
    pattern: str
    metric: str


RANKINGS = (
    Ranking('UPerNet, ADE20K', 'upernet_*_ade20k.py', 'mIoU'),
    Ranking('Semantic FPN, ADE20K', 'semantic_fpn_*_ade20k.py', 'mIoU'),
    Ranking('Mask R-CNN, COCO, 12 epochs', 'mask_rcnn_*_1x_coco.py', 'bbox_mAP'),
    Ranking('RetinaNet, COCO, 12 epochs', 'retinanet_*_1x_coco.py', 'bbox_mAP'),
)


def ranked_configs() -> Iterator[tuple[str, str, Config]]:
    """(title of the ranking, name, config) of the recipes with a backbone of ours and a published result."""
    for ranking in RANKINGS:
        for path in sorted(config_folder().glob(ranking.pattern)):
            config = Config.fromfile(path)
            published = config.get('published') or {}
            if published.get('metric') == ranking.metric and config.backbone.type.startswith('denseformer.'):
                yield ranking.title, path.stem, config


def measure(backbone: Mapping[str, Any]) -> dict[str, float]:
    """Milliseconds, megabytes and millions of parameters of a backbone's settings, in a process of its own."""
    with fresh_process('benchmarks.harness').Pool(1) as pool:
        return pool.apply(measure_here, (backbone,))


def measure_here(backbone: Mapping[str, Any]) -> dict[str, float]:
    torch.set_num_threads(1)
    found: dict[str, float] = {}

    def predict_repeatedly() -> None:
        network = MODELS.build(dict(backbone)).eval()
        image = torch.randn(1, 3, SIDE, SIDE)
        with torch.inference_mode():
            found['ms'] = round(1000 * min(timed(lambda: network(image))[1] for _ in range(ROUNDS)), 1)
        found['parameters'] = round(sum(p.numel() for p in network.parameters()) / 1e6, 2)

    memory = working_memory(Contender('ours', lambda: predict_repeatedly))
    return {**found, 'mb': round(memory)}


def main() -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for title, name, config in ranked_configs():
        if name in known:
            continue
        options = {key: value for key, value in config.backbone.items() if key not in ('pretrained', 'init_cfg')}
        backbone = f'{config.backbone.type.removeprefix("denseformer.")}-{config.backbone.arch}'
        same = next((entry for entry in known.values() if entry['options'] == json.loads(json.dumps(options))), None)
        costs = {key: same[key] for key in ('ms', 'mb', 'parameters')} if same else measure(options)
        published = {'ranking': title, 'value': config.published.value}
        known[name] = {'backbone': backbone, 'options': options, **costs, **published}
        print(name, costs, flush=True)
        RESULTS.write_text(json.dumps(known, indent=1) + '\n')


if __name__ == '__main__':
    main()
