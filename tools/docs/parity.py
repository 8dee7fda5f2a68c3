"""The parity page: how near every network comes to its authors' code. `python -m tools.docs.parity docs/parity.md`."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import torch

from denseformer.network import Network
from denseformer.registry import MODELS
from tests.support import refkit

HEAD = """# Parity

Made by `python -m tools.docs.parity docs/parity.md`; do not edit. Each row is a network of its authors, run once with
their code: every weight was set to a number that follows from its name and shape, and samples of the outputs were kept
(`tests/references`). Ours takes the same weights under the authors' names. The last column is the largest difference in
all inputs and outputs, in units of that output's standard deviation; `make test` asks for less than 1e-4, and says
where and why it cannot.

| network | options | tensors | inputs | largest difference |
|---|---|--:|---|--:|
"""


def rows() -> Iterator[str]:
    """One line of the table for each reference of a network."""
    for name, spec in json.loads((refkit.REFERENCES / 'index.json').read_text()).items():
        kind = MODELS.get(f'denseformer.{spec["type"]}')
        if not (refkit.REFERENCES / f'{name}.json').exists() or not issubclass(kind or type(None), Network):
            continue
        options = {key: value for key, value in spec.items() if key != 'type'}
        reference = refkit.load_reference(name)
        inputs = ', '.join('x'.join(map(str, run['input'])) for run in reference['runs'])
        torch.manual_seed(0)
        difference = refkit.check(kind(**options), name)
        said = ', '.join(f'{key}={value!r}' for key, value in options.items())
        yield f'| {spec["type"]} | {said} | {len(reference["shapes"])} | {inputs} | {difference:.1e} |'


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('page', type=Path)
    page = parser.parse_args().page
    page.write_text(HEAD + '\n'.join(rows()) + '\n')
