"""The table of what can be exported: every backbone and restoration network, written, run and compared.

`python -m tools.docs.export docs/export.md` measures all networks, each in a process of its own and
for `SECONDS` of CPU time at most, and writes their rows into the page as it goes; names behind the page measure
those alone, `--missing` those that have no row yet.
"""

import argparse
import multiprocessing
import resource
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile
from multiprocessing.connection import Connection
from pathlib import Path
from signal import SIGXCPU

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from denseformer.backbones import Backbone
from denseformer.export.exporting import DYNAMIC, with_stable_order
from denseformer.export.runtime import Sizes
from denseformer.export.tracing import (
    DOWNSAMPLED_MAPS,
    SMALL_MAPS,
    WRITERS,
    ExportError,
    Graph,
    Written,
    require_packages,
    trace,
    write,
)
from denseformer.network import Network
from denseformer.restoration.networks import RestorationNetwork

HEAD = '| network | parts of | ONNX | difference | torch.export | difference |'
SECONDS = 360
"""How much CPU time a network is given; tracing open sizes is slow, and large networks need several minutes."""


class Maps(nn.Module):
    """All maps of a backbone in one tensor: images (B, C, H, W) -> (B, values)."""

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([m.flatten(1) for m in self.backbone(images)], 1)


def exportable() -> dict[str, type[Network]]:
    """All networks by name, backbones first."""
    return {cls.__name__: cls for cls in (*Backbone.families(), *RestorationNetwork.families())}


def graph_of(cls: type[Network]) -> Graph:
    torch.manual_seed(0)
    network = cls(arch=cls.truncated_arch())
    if isinstance(network, Backbone):
        return Graph(Maps(network), network.in_channels, test_inputs=DOWNSAMPLED_MAPS).eval()
    return Graph(with_stable_order(network), network.in_channels, test_inputs=SMALL_MAPS).eval()


def outcomes(graph: Graph) -> Iterator[tuple[str, Written | str]]:
    """By suffix, as soon as it is known, what the most general file takes, or why there is none."""
    refusals = dict.fromkeys(WRITERS, '')
    with tempfile.TemporaryDirectory() as folder:
        for sizes in (*DYNAMIC, Sizes(side=224 if graph.test_inputs is DOWNSAMPLED_MAPS else 64)):
            if not refusals:
                return
            try:
                program = trace(graph, sizes)
            except ExportError as error:
                refusals = dict.fromkeys(refusals, str(error))
                continue
            for suffix in list(refusals):
                try:
                    yield suffix, write(graph, program, Path(folder) / f'network{suffix}', sizes, {})
                    del refusals[suffix]
                except ExportError as error:
                    refusals[suffix] = str(error)
    yield from refusals.items()


def send_outcomes(cls: type[Network], pipe: Connection) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, hard))  # at the soft limit SIGXCPU ends the process
    for outcome in outcomes(graph_of(cls)):
        pipe.send(outcome)


def measure(cls: type[Network]) -> dict[str, Written | str]:
    """By suffix the outcome; a conversion that takes too long, or all memory, ends with its process."""
    context = multiprocessing.get_context('fork')  # what is imported serves all networks
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=send_outcomes, args=(cls, sender))
    process.start()
    sender.close()
    found: dict[str, Written | str] = {}
    with suppress(EOFError):
        while True:
            suffix, outcome = receiver.recv()
            found[suffix] = outcome
    process.join()
    limit = f'longer than {SECONDS} s of CPU time'
    reason = limit if process.exitcode == -SIGXCPU else f'its process ended with code {process.exitcode}'
    return dict.fromkeys(WRITERS, reason) | found


def cells(found: Written | str) -> tuple[str, str]:
    if isinstance(found, str):
        return f'no: {found[:80].replace("|", "/")}', ''
    sizes = found.sizes
    what = f'{sizes.side} x {sizes.side}' if sizes.side else f'any size from {sizes.smallest} on'
    return what if sizes.side or sizes.batches else f'{what}, single images', f'{found.difference:.0e}'


def row(cls: type[Network]) -> str:
    found = measure(cls)
    return '| ' + ' | '.join((cls.__name__, cls.smallest(), *cells(found['.onnx']), *cells(found['.pt2']))) + ' |'


def rows(lines: list[str]) -> dict[str, str]:
    """The rows of the page's table by network."""
    table = takewhile(lambda line: line.startswith('|'), lines[lines.index(HEAD) + 2 :])
    return {line.split('|')[1].strip(): line for line in table}


def with_row(lines: list[str], new: str) -> list[str]:
    """The page with a row of its table replaced or added, in the order of `exportable`."""
    first, known = lines.index(HEAD) + 2, rows(lines)
    after = lines[first + len(known) :]
    known[new.split('|')[1].strip()] = new
    return [*lines[:first], *(known[name] for name in exportable() if name in known), *after]


def main(page: Path, names: list[str], *, missing: bool) -> None:
    known = exportable()
    if unknown := sorted(set(names) - set(known)):
        raise SystemExit(f'There is no network {", ".join(unknown)}. Known: {", ".join(known)}.')
    require_packages('.onnx')
    done = rows(page.read_text().splitlines()) if missing else {}
    for name in names or known:
        if name not in done:
            new = row(known[name])
            print_log(new)
            page.write_text('\n'.join(with_row(page.read_text().splitlines(), new)) + '\n')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('page', type=Path)
    parser.add_argument('names', nargs='*', help='networks to measure; all by default')
    parser.add_argument('--missing', action='store_true', help='only those that have no row yet')
    args = parser.parse_args()
    main(args.page, args.names, missing=args.missing)
