"""Numeric references: deterministic weights and inputs, and the comparison with what the authors' code returned.

A reference is a JSON file: the state-dict keys and shapes of the authors' network, how its inputs were made, and
samples of what it returned with every weight set by `fill_weight`. So two implementations are compared without a
checkpoint. Where the authors' network is a classifier, `maps` says how many of its outputs are maps, the first ones.
"""

import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

REFERENCES = Path(__file__).parents[1] / 'references'


def fill_weight(key: str, shape: list[int]) -> np.ndarray:
    """The float32 value of a parameter or buffer: a function of its name and shape alone."""
    noise = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(tuple(shape))
    last = key.rsplit('.', 1)[-1]
    if last == 'running_var':
        value = 1 + 0.1 * np.abs(noise)
    elif last == 'running_mean' or (last in ('bias', 'beta') and len(shape) <= 1):
        value = 0.1 * noise
    elif len(shape) <= 1 or int(np.prod(shape)) == max(shape):  # gains, layer scales, temperatures
        value = 1 + 0.1 * noise
    elif 'bias' in last or 'rpb' in last or 'pos' in last:  # tables of positions
        value = 0.2 * noise
    else:
        value = noise / np.sqrt(int(np.prod(shape[1:])))
    return np.asarray(value, dtype=np.float32)


def fill_state_dict(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    return {key: torch.from_numpy(fill_weight(key, shape)) for key, shape in shapes.items()}


def make_input(run: dict) -> Tensor:
    """kind 'normal': a normalised image; 'unit': uniform in [0, 1], a restoration input."""
    rng = np.random.default_rng(run['seed'])
    sample = rng.standard_normal if run['kind'] == 'normal' else rng.random
    return torch.from_numpy(sample(run['input']).astype(np.float32))


def make_pyramid(image: Tensor, channels: Sequence[int]) -> list[Tensor]:
    """The maps at strides 4, 8, 16 .. that a reference of a head or neck was fed for an image (B, 3, H, W)."""
    B, _, H, W = image.shape
    shapes = [(B, width, -(-H // (4 << i)), -(-W // (4 << i))) for i, width in enumerate(channels)]
    return [make_input(dict(input=shape, seed=100 + i, kind='normal')) for i, shape in enumerate(shapes)]


def load_reference(name: str) -> dict:
    return json.loads((REFERENCES / f'{name}.json').read_text())


def deviation(outputs: list[Tensor], expected: list[dict]) -> float:
    """The largest error over the sampled values, relative to each output's standard deviation."""
    assert [list(output.shape) for output in outputs] == [reference['shape'] for reference in expected]
    worst = 0.0
    for output, reference in zip(outputs, expected, strict=True):
        values = output.detach().double().reshape(-1)[torch.tensor(reference['idx'])].numpy()
        worst = max(worst, float(np.abs(values - np.array(reference['values'])).max() / (reference['std'] + 1e-12)))
    return worst


@torch.no_grad()
def check(network: nn.Module, name: str, forward: Callable | None = None) -> float:
    """Load a reference's weights under the authors' names, run its inputs, return the largest deviation."""
    reference = load_reference(name)
    network.eval()
    left = network.load_state_dict(fill_state_dict(reference['shapes']), strict=False)
    missing = set(left.missing_keys) & {key for key, _ in network.named_parameters()}
    assert not missing, f'parameters the reference does not set: {sorted(missing)[:5]}'
    assert not left.unexpected_keys, f'keys the network does not know: {left.unexpected_keys[:5]}'
    worst = 0.0
    for run in reference['runs']:
        outputs = (forward or nn.Module.__call__)(network, make_input(run))
        outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
        worst = max(worst, deviation(outputs, run['outputs'][: reference.get('maps')]))
    return worst
