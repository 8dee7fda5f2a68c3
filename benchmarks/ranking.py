"""Time and memory of every backbone that has a published result on ADE20K, for the picture that ranks them.

`python -m benchmarks.ranking` measures each variant once, in CPU time of one thread: the median of three predictions
of the four maps of one 512 x 512 image, float32, after one that is not counted; the peak memory of one prediction,
weights included, in a process of its own. What results/ranking.json holds already is left as it is; delete the file to
measure all again.
"""

import json
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config
from torch import nn

from benchmarks.harness import Contender, fresh_process, timed, working_memory
from denseformer.config.shipped import config_folder
from denseformer.registry import MODELS

RESULTS = Path(__file__).parent / 'results/ranking.json'
SIDE, ROUNDS = 512, 3
HEADS = ('upernet', 'semantic_fpn')


def ranked_configs() -> dict[str, Config]:
    """Name -> config of the recipes for ADE20K at one scale whose result is published."""
    found = {}
    for head in HEADS:
        for path in sorted(config_folder().glob(f'{head}_*_ade20k.py')):
            config = Config.fromfile(path)
            published = config.get('published') or {}
            if published.get('metric') == 'mIoU' and config.backbone.type.startswith('denseformer.'):
                found[path.stem] = config
    return found


def milliseconds(config: Config) -> tuple[float, float]:
    """CPU time of one prediction, and millions of parameters, of a config's backbone."""
    network = build(config)
    image = torch.randn(1, 3, SIDE, SIDE)
    with torch.inference_mode():
        network(image)
        times = [timed(lambda: network(image))[1] for _ in range(ROUNDS)]
    return 1000 * statistics.median(times), sum(p.numel() for p in network.parameters()) / 1e6


def megabytes(config: Config) -> float:
    """Peak memory of building a config's backbone and of one prediction, in a process of its own."""
    with fresh_process('benchmarks.ranking').Pool(1) as pool:
        return pool.apply(megabytes_here, (config.backbone.to_dict(),))


def megabytes_here(backbone: dict) -> float:
    torch.set_num_threads(1)

    def make() -> Callable[[], object]:
        network = build(Config({'backbone': backbone}))
        return torch.inference_mode()(lambda: network(torch.randn(1, 3, SIDE, SIDE)))

    return working_memory(Contender('ours', make))


def build(config: Config) -> nn.Module:
    options = {key: value for key, value in config.backbone.items() if key not in ('pretrained', 'init_cfg')}
    return MODELS.build(options).eval()


def main() -> None:
    torch.set_num_threads(1)
    known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name, config in ranked_configs().items():
        backbone = f'{config.backbone.type.removeprefix("denseformer.")}-{config.backbone.arch}'
        same = next((entry for entry in known.values() if entry['backbone'] == backbone), None)
        if name in known:
            continue
        time, size = (same['ms'], same['parameters']) if same else milliseconds(config)
        memory = same['mb'] if same else megabytes(config)
        known[name] = {
            'backbone': backbone,
            'ms': round(time, 1),
            'mb': round(memory),
            'parameters': round(size, 2),
            'mIoU': config.published.value,
        }
        print(name, known[name], flush=True)
        RESULTS.write_text(json.dumps(known, indent=1) + '\n')


if __name__ == '__main__':
    main()
