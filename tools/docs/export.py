"""The table of what can be exported: every network of maps or images, written, run and compared.

`python -m tools.docs.export docs/export.md` measures all networks, each in a process of its own and
for `SECONDS` of CPU time at most, and writes their rows into the page as it goes; names behind the page measure
those alone, and `--missing` those without a row, so that what was stopped goes on.
"""

import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from signal import SIGXCPU

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from denseformer.backbones.base import MapNetwork
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


MISSING = '--missing'
WHOLE = ('SNNet', 'UPLiFT')
"""Networks that are made of other networks and are not shortened."""


class Maps(nn.Module):
    """All maps of a backbone in one tensor: images (B, C, H, W) -> (B, values)."""

    def __init__(self, backbone: MapNetwork):
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([m.flatten(1) for m in self.backbone(images)], 1)


def exportable() -> dict[str, type[Network]]:
    """All networks by name, backbones first."""
    return {cls.__name__: cls for cls in (*MapNetwork.families(), *RestorationNetwork.families())}


def graph_of(cls: type[Network]) -> Graph:
    torch.manual_seed(0)
    network = cls(arch=cls.smallest() if cls.__name__ in WHOLE else cls.truncated_arch())
    if isinstance(network, MapNetwork):
        return Graph(Maps(network), getattr(network, 'in_channels', 3), test_inputs=DOWNSAMPLED_MAPS).eval()
    return Graph(with_stable_order(network), network.in_channels, test_inputs=SMALL_MAPS).eval()


def outcomes(graph: Graph, suffixes: Iterable[str] = tuple(WRITERS)) -> Iterator[tuple[str, Written | str]]:
    """By suffix, as soon as it is known, what the most general file takes, or why there is none."""
    refusals = dict.fromkeys(suffixes, '')
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


def images_taken(sizes: Sizes) -> str:
    if sizes.side:
        return f'{sizes.side} x {sizes.side}'
    return f'any size from {sizes.smallest} on{"" if sizes.batches else ", single images"}'


def cells(found: Written | str) -> tuple[str, str]:
    if isinstance(found, str):
        return f'no: {found[:80].replace("|", "/")}', ''
    return images_taken(found.sizes), f'{found.difference:.0e}'


def row(cls: type[Network]) -> str:
    found = measure(cls)
    return '| ' + ' | '.join((cls.__name__, cls.smallest(), *cells(found['.onnx']), *cells(found['.pt2']))) + ' |'


def table_of(lines: list[str]) -> slice:
    """Where the rows of the page's table stand."""
    first = lines.index(HEAD) + 2
    return slice(first, next((i for i in range(first, len(lines)) if not lines[i].startswith('|')), len(lines)))


def by_network(rows: Iterable[str]) -> dict[str, str]:
    return {row.split('|')[1].strip(): row for row in rows}


def with_row(lines: list[str], new: str) -> Iterator[str]:
    """The page with a row of its table replaced or added, in the order of `exportable`."""
    place = table_of(lines)
    rows = by_network((*lines[place], new))
    yield from lines[: place.start]
    yield from (rows[name] for name in exportable() if name in rows)
    yield from lines[place.stop :]


def missing(lines: list[str]) -> tuple[str, ...]:
    """The networks that have no row in the page's table yet."""
    there = by_network(lines[table_of(lines)])
    return tuple(name for name in exportable() if name not in there)


def main(page: str, *names: str) -> None:
    known = exportable()
    chosen = names or tuple(known)
    if names == (MISSING,):
        chosen = missing(Path(page).read_text().splitlines())
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise SystemExit(f'There is no network {", ".join(unknown)}. Known: {", ".join(known)}.')
    require_packages('.onnx')  # a process that lacks them would end without a reason
    for name in chosen:
        new = row(known[name])
        print_log(new)
        Path(page).write_text('\n'.join(with_row(Path(page).read_text().splitlines(), new)) + '\n')


if __name__ == '__main__':
    main(*sys.argv[1:])
