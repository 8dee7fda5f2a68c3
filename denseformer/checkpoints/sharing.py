"""Finished models in a folder that is shared: weights, config, scores, and a card that says what they are.

A folder holds `model.safetensors`, `config.py` (resolved; a restoration network, which its weights describe, may have
none), `scores.json`, and `README.md`, the card.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from safetensors.torch import save_file
from torch import nn

from denseformer import __version__
from denseformer.checkpoints import CheckpointError
from denseformer.network import Network

WEIGHTS, CONFIG, SCORES, CARD = 'model.safetensors', 'config.py', 'scores.json', 'README.md'


def save_model(
    model: nn.Module,
    config: Config | None,
    folder: str | Path,
    *,
    scores: Mapping[str, float] | None = None,
    license: str | None = None,
    command: str | None = None,
) -> Path:
    """Write a model into a folder, which is made; returns it.

    scores: of its validation, by the names of the metrics; license: of the weights; command: by which it was trained.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {key: value.detach().cpu().contiguous().clone() for key, value in model.state_dict().items()}
    save_file(weights, folder / WEIGHTS, metadata={'format': 'pt', 'denseformer': __version__})
    if config is not None:
        config.dump(folder / CONFIG)
    (folder / SCORES).write_text(json.dumps(dict(scores or {}), indent=1) + '\n')
    card = model_card(model, config, scores=scores or {}, license=license, command=command)
    (folder / CARD).write_text(card, encoding='utf-8')
    return folder


def model_card(
    model: nn.Module,
    config: Config | None,
    *,
    scores: Mapping[str, float],
    license: str | None,
    command: str | None,
) -> str:
    """The card of a model in Markdown; what nobody said is named as not stated."""
    network = next((module for module in model.modules() if isinstance(module, Network)), None)
    kind = type(network or model).__name__
    name = Path(config.filename).stem if config is not None and config.filename else kind
    published = config.get('published') if config is not None else None
    trained = command or (f'denseformer train {name}' if name != kind else 'not stated')
    rows = [f'| {metric} | {score:g} |' for metric, score in scores.items()]
    lines = [
        '---',
        'library_name: denseformer',
        *([f'license: {license}'] if license else []),
        '---',
        f'# {name}',
        '',
        f'- network: {kind}, {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters with its head',
        *([f'- paper: {network.source.paper}', f'- code of its authors: {network.source.code}'] if network else []),
        *([f"- license of the authors' code and weights: {network.source.license}"] if network else []),
        f'- license of these weights: {license or "not stated"}',
        f'- trained by: `{trained}`' if trained != 'not stated' else '- trained by: not stated',
        *([f"- the authors' result: {published['metric']} {published['value']}"] if published else []),
        f'- saved by denseformer {__version__}',
        '',
        *(['## Scores', '', '| metric | value |', '|---|---|', *rows, ''] if rows else []),
        '## Use',
        '',
        '```python',
        'from denseformer.inference import Predictor',
        '',
        "predictor = Predictor.from_pretrained('FOLDER')",
        "for result in predictor('photographs'):",
        '    ...',
        '```',
    ]
    return '\n'.join(lines) + '\n'


def saved_parts(folder: str | Path) -> tuple[Path | None, Path]:
    """The config, None where there is none, and the weights of a folder that `save_model` wrote.

    Raises CheckpointError where the weights are not there.
    """
    folder = Path(folder)
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f'{folder}: holds no {WEIGHTS}; it is no folder that save_pretrained wrote.')
    config = folder / CONFIG
    return (config if config.is_file() else None), folder / WEIGHTS
