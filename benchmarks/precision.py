"""How far a network in bfloat16 is from itself in float32, and float64 likewise.

`python -m benchmarks.precision SGFormer:small:224` for network, variant and side of the image. Every weight is a
function of its name and shape, so that the numbers can be made again.
"""

import argparse
import copy

import torch
from torch import Tensor, nn

from denseformer.backbones import Backbone
from denseformer.registry import MODELS
from tests.support import refkit


@torch.no_grad()
def deviations(network: nn.Module, image: Tensor, dtype: torch.dtype) -> list[float]:
    """The deviation of each output: the standard deviation of the difference over that of the output in float32."""
    exact, rounded = network(image), copy.deepcopy(network).to(dtype)(image.to(dtype))
    pairs = [(exact, rounded)] if isinstance(exact, Tensor) else zip(exact, rounded, strict=True)
    return [float((b - a).std() / a.std()) for a, b in pairs]


def measured(name: str, arch: str, side: int) -> str:
    """A line of the table."""
    kind = MODELS.get(f'denseformer.{name}')
    network = kind(arch=arch).eval()
    shapes = {key: list(value.shape) for key, value in network.state_dict().items() if value.is_floating_point()}
    network.load_state_dict(refkit.fill_state_dict(shapes), strict=False)
    run = {'seed': 0, 'kind': 'normal' if issubclass(kind, Backbone) else 'unit'}
    image = refkit.make_input({**run, 'input': [1, network.in_channels, side, side]})
    columns = [max(deviations(network, image, dtype)) for dtype in (torch.float64, torch.bfloat16)]
    return f'{name}:{arch}:{side} float64 {columns[0]:.1e} bfloat16 {columns[1]:.3f}'


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('networks', nargs='+', metavar='NETWORK:ARCH:SIDE')
    for specification in parser.parse_args().networks:
        network_name, arch_name, image_side = specification.split(':')
        print(measured(network_name, arch_name, int(image_side)), flush=True)
