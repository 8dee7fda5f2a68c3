"""The parity page: how near every network comes to its authors' code. `python -m tools.docs.parity docs/parity.md`."""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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


def references() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and settings of each network whose reference is there."""
    for name, spec in json.loads((refkit.REFERENCES / 'index.json').read_text()).items():
        kind = MODELS.get(f'denseformer.{spec["type"]}')
        if (refkit.REFERENCES / f'{name}.json').exists() and issubclass(kind or type(None), Network):
            yield name, spec


def cells(spec: Mapping[str, Any]) -> str:
    """The first two cells of a row, by which it is known: the network and its options."""
    options = ', '.join(f'{key}={value!r}' for key, value in spec.items() if key != 'type')
    return f'| {spec["type"]} | {options} | '


def row(name: str, spec: Mapping[str, Any]) -> str:
    reference = refkit.load_reference(name)
    inputs = ', '.join('x'.join(map(str, run['input'])) for run in reference['runs'])
    torch.manual_seed(0)
    network = MODELS.build({**spec, 'type': f'denseformer.{spec["type"]}'})
    return f'{cells(spec)}{len(reference["shapes"])} | {inputs} | {refkit.check(network, name):.1e} |'


def main(page: Path, *, missing: bool) -> None:
    """Write the page after each row; missing: the rows that it has already are left as they are."""
    lines = page.read_text().splitlines() if missing else []
    specs = dict(references())
    rows = {name: next((line for line in lines if line.startswith(cells(spec))), '') for name, spec in specs.items()}
    for name, known in list(rows.items()):
        rows[name] = known or row(name, specs[name])
        page.write_text(HEAD + '\n'.join(filter(None, rows.values())) + '\n')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('page', type=Path)
    parser.add_argument('--missing', action='store_true', help='measure only what has no row yet')
    args = parser.parse_args()
    main(args.page, missing=args.missing)
