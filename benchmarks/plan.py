"""The cost of predicting on very many images: stages from measured rates, and a simulation of shards on machines.

python -m benchmarks.plan                                                # the tables of docs/scale.md
python -m benchmarks.plan --network 8 --price 2.5 --machines 64          # milliseconds and prices of one's own
"""

import argparse
import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

COUNTS = (10**6, 10**8, 10**10)


@dataclass(frozen=True)
class Rates:
    """Milliseconds of one process per image, but for `start`, in seconds.

    names: reading and hashing a name, which every shard does for all names; around: reading, decoding, drawing and
    writing, on CPUs; network; record: writing and sorting an entry; merge: of an entry, by one process; start: of a
    process, until its model is loaded.
    """

    names: float = 0.005
    around: float = 150.0
    network: float = 2866.0
    record: float = 0.034
    merge: float = 0.031
    start: float = 10.0


@dataclass(frozen=True)
class Fleet:
    """machines: processes that predict at a time; price: per machine and hour; slow: the share of machines at half
    speed; spread: the standard deviation of the logarithm of their speeds; lifetime: mean hours until one is lost, and
    with it what its process had begun; away: seconds until the next one takes up its shard."""

    machines: int
    price: float
    slow: float = 0.02
    spread: float = 0.1
    lifetime: float = 24.0
    away: float = 300.0


def simulate(images: int, shards: int, rates: Rates, fleet: Fleet, seed: int = 0) -> tuple[float, float]:
    """Hours until the last shard is finished, and hours that machines were busy.

    Each machine takes the next shard as it becomes free. What is lost goes on elsewhere from the last image: names are
    read again, images are not predicted again.
    """
    rng = np.random.default_rng(seed)
    speeds = np.exp(rng.normal(0, fleet.spread, fleet.machines)) * np.where(
        rng.random(fleet.machines) < fleet.slow, 0.5, 1
    )
    names = images * rates.names / 1000
    work = images / shards * (rates.around + rates.network + rates.record) / 1000
    free = [(0.0, i) for i in range(fleet.machines)]
    busy, ends = 0.0, 0.0
    for _ in range(shards):
        begun, machine = heapq.heappop(free)
        now, left = begun, work / speeds[machine]
        while True:
            setup = rates.start + names
            lost = rng.exponential(fleet.lifetime * 3600)
            if lost >= setup + left:
                now, busy = now + setup + left, busy + setup + left
                break
            left -= max(0.0, lost - setup)
            now, busy = now + lost + fleet.away, busy + lost
        ends = max(ends, now)
        heapq.heappush(free, (now, machine))
    return ends / 3600, busy / 3600


def stages(images: int, shards: int, rates: Rates) -> Iterator[tuple[str, float]]:
    """Each stage and its hours of one process."""
    hour = 3.6e6
    yield 'names', images * shards * rates.names / hour
    yield 'reading, writing', images * rates.around / hour
    yield 'network', images * rates.network / hour
    yield 'records', images * rates.record / hour
    yield 'merge', images * rates.merge / hour


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m benchmarks.plan', description=__doc__.splitlines()[0])
    for name, default in vars(Rates()).items():
        parser.add_argument(f'--{name}', type=float, default=default)
    parser.add_argument('--price', type=float, default=0.1, help='of a machine, per hour, in any currency')
    parser.add_argument('--machines', type=int, nargs='+', default=[64, 64, 1000], help='for 10^6, 10^8, 10^10 images')
    parser.add_argument('--shards', type=int, nargs='+', default=[64, 1024, 4096])
    args = parser.parse_args()
    rates = Rates(**{name: getattr(args, name) for name in vars(Rates())})
    machines = (args.machines * len(COUNTS))[: len(COUNTS)]
    print('| images | shards | machines | ' + ' | '.join(f'{name}, h' for name, _ in stages(1, 1, rates)), end=' | ')
    print('until the end, h | busy, h | lost | price |\n|' + '---:|' * (len(list(stages(1, 1, rates))) + 7))
    for images, count in zip(COUNTS, machines, strict=True):
        for shards in args.shards:
            fleet = Fleet(min(count, shards), args.price)
            ends, busy = simulate(images, shards, rates, fleet)
            useful = images * (rates.around + rates.network + rates.record) / 3.6e6
            hours = ' | '.join(
                f'{value:,.3g}' if value < 1e4 else f'{value:,.0f}' for _, value in stages(images, shards, rates)
            )
            lost = 1 - useful / (ends * fleet.machines)
            print(f'| {images:.0e} | {shards:,} | {fleet.machines:,} | {hours} ', end='')
            print(f'| {ends:,.1f} | {busy:,.0f} | {lost:.0%} | {busy * args.price:,.0f} |')


if __name__ == '__main__':
    main()
