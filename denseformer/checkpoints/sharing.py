"""Models in a folder that is shared: weights, config, scores, and a card that says what they are.

A folder holds `model.safetensors`; `config.py`, resolved, of a whole model or of the bare network; `scores.json`; and
`README.md`, the card. Reading it runs nothing: the config is literals (`recorded`).
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config
from safetensors.torch import save
from torch import nn

from denseformer.checkpoints.common import WEIGHTS, CheckpointError
from denseformer.checkpoints.other_kinds import inside
from denseformer.checkpoints.recorded import recorded_config
from denseformer.lora import is_factor
from denseformer.version import __version__

CONFIG, SCORES, CARD = 'config.py', 'scores.json', 'README.md'


def save_model(
    model: nn.Module,
    config: Config | None,
    folder: str | Path,
    *,
    scores: Mapping[str, float] | None = None,
    license: str | None = None,
    command: str | None = None,
    notes: str = '',
    half: bool = False,
) -> Path:
    """Write a model into a folder, which is made; returns it.

    scores: of its validation, by the names of the metrics; license: of the weights; command: by which it was trained;
    notes: Markdown of the card, on what the model is for; half: store floating-point numbers at half precision. Factors
    of low-rank updates are left out: the weights hold the updates.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {key: _stored(value, half=half) for key, value in model.state_dict().items() if not is_factor(key)}
    (folder / WEIGHTS).write_bytes(save(weights, metadata={'format': 'pt', 'denseformer': __version__}))
    if config is not None:
        config.dump(folder / CONFIG)
    (folder / SCORES).write_text(json.dumps(dict(scores or {}), indent=1) + '\n')
    numbers = sum(value.numel() for value in weights.values())
    card = model_card(model, config, numbers, scores=scores or {}, license=license, command=command, notes=notes)
    (folder / CARD).write_text(card, encoding='utf-8')
    return folder


def _stored(value: torch.Tensor, *, half: bool) -> torch.Tensor:
    value = value.detach().cpu()
    return (value.half() if half and value.is_floating_point() else value).contiguous().clone()


def model_card(
    model: nn.Module,
    config: Config | None,
    numbers: int,
    *,
    scores: Mapping[str, float],
    license: str | None,
    command: str | None,
    notes: str = '',
) -> str:
    """The card of a model of so many numbers in Markdown; what nobody said is named as not stated."""
    network = next((module for module in model.modules() if hasattr(module, 'source')), None)
    kind = type(network or model).__name__
    name = Path(config.filename).stem if config is not None and config.filename else kind
    published = config.get('published') if config is not None else None
    trained = command or (f'denseformer train {name}' if name != kind else None)
    rows = [f'| {metric} | {score:.4g} |' for metric, score in scores.items()]
    lines = [
        '---',
        'library_name: denseformer',
        *([f'license: {license}'] if license else []),
        '---',
        f'# {name}',
        '',
        *([notes.strip(), ''] if notes else []),
        f'- network: {kind}, {numbers / 1e6:.2f} M numbers in the file',
        *([f'- paper: {network.source.paper}', f'- code of its authors: {network.source.code}'] if network else []),
        *([f"- license of the authors' code and weights: {network.source.license}"] if network else []),
        f'- license of these weights: {license or "not stated"}',
        f'- trained by: `{trained}`' if trained else '- trained by: not stated',
        *([f"- the authors' result: {published['metric']} {published['value']}"] if published else []),
        f'- saved by denseformer {__version__}',
        '',
        *(['## Scores', '', '| metric | value |', '|---|---|', *rows, ''] if rows else []),
        '## Use',
        '',
        *_example(kind, config),
    ]
    return '\n'.join(lines) + '\n'


def _example(kind: str, config: Config | None) -> list[str]:
    if config is not None and 'model' not in config:
        return ['```python', f"backbone = dict(type='denseformer.{kind}', ..., pretrained='FOLDER')", '```']
    return [
        '```python',
        'from denseformer.inference import Predictor',
        '',
        "predictor = Predictor.from_pretrained('FOLDER')",
        "for result in predictor('photographs'):",
        '    ...',
        '```',
    ]


def saved_parts(folder: str | Path) -> tuple[Config | None, Path]:
    """The config, None where there is none, and the weights of a folder that `save_model` wrote.

    What the config names is not checked: `recorded.for_prediction` does that before anything of it is built. Raises
    CheckpointError where the weights are not there, or the config is none that `recorded_config` reads.
    """
    folder = Path(folder)
    weights, path = saved_weights(folder), folder / CONFIG
    if not path.is_file():
        return None, weights
    return recorded_config(path.read_text(encoding='utf-8', errors='replace'), path), weights


def saved_weights(folder: Path) -> Path:
    """The weights of a folder that `save_model` wrote. Raises CheckpointError where they are not there."""
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f'{folder}: no folder that save_pretrained wrote: {inside(folder)}')
    return folder / WEIGHTS
