"""Prediction on many images: the rate and the memory of what is not the network, each case in a process of its own.

python -m benchmarks.scale names --counts 1000000 10000000
python -m benchmarks.scale records --counts 100000 1000000
python -m benchmarks.scale ray --counts 100 1100
"""

import argparse
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image

from benchmarks.harness import resident_memory
from benchmarks.memory import CONFIG, SMALL
from denseformer.engine import load_config
from denseformer.inference import Predictor, predict_folder
from denseformer.inference.merging import begin_shards, finish_shard, merge
from denseformer.inference.shards import Shard
from denseformer.inference.writers import RunFolder

IMAGES_IN_SHARD = 100
"""Images that the measured shard of a list has, whatever the length of the list."""
SHARDS = 4
Figures = dict[str, float]


def name_of(number: int) -> str:
    return f'{number // 10_000:05d}/{number:010d}.jpg'


def small_predictor() -> Predictor:
    """A segmentor that takes next to no time."""
    config = load_config(CONFIG)
    config.model = {**SMALL, 'data_preprocessor': config.model.data_preprocessor}
    return Predictor(config, device='cpu')


def predict_listed(folder: Path, count: int) -> Figures:
    """One shard of a list of `count` images: all names are read, and about a hundred images predicted."""
    shard = Shard(0, max(1, count // IMAGES_IN_SHARD))
    image = folder / 'image.jpg'
    Image.new('RGB', (32, 32)).save(image)
    with (folder / 'list.txt').open('w') as names:
        for number in range(count):
            names.write(f'{name_of(number)}\n')
            if shard.holds(name_of(number)):
                path = folder / name_of(number)
                path.parent.mkdir(exist_ok=True)
                path.hardlink_to(image)
    predictor = small_predictor()
    first: list[tuple[float, float]] = []
    log = RunFolder.log

    def timed(run: RunFolder, entry: dict) -> None:
        log(run, entry)
        first.append((time.perf_counter() - started, time.process_time() - computed))

    RunFolder.log = timed
    before = resident_memory('VmHWM')
    started, computed = time.perf_counter(), time.process_time()
    summary = predict_folder(predictor, folder / 'list.txt', folder / 'out', shard=str(shard))
    assert summary['failed'] == 0
    return {
        'seconds to the first image': first[0][0],
        'of the CPU': first[0][1],
        'CPU seconds in all': time.process_time() - computed,
        'MB at the peak': resident_memory('VmHWM'),
        'of these before': before,
    }


def predict_on_ray(folder: Path, count: int) -> Figures:
    """A folder of `count` images of 64 x 64 pixels, in this process, and by one worker on a Ray cluster of its own."""
    (folder / 'in').mkdir()
    Image.new('RGB', (64, 64)).save(folder / 'image.jpg')
    for number in range(count):
        (folder / 'in' / f'{number:06d}.jpg').hardlink_to(folder / 'image.jpg')
    predictor = small_predictor()
    started = time.process_time()
    predict_folder(predictor, folder / 'in', folder / 'here')
    here = time.process_time() - started
    with cpu_of_descendants() as seconds:
        predict_folder(predictor, folder / 'in', folder / 'ray', engine='ray', workers=1)
    there = time.process_time() - started - here + sum(seconds.values())
    return {'CPU seconds in this process': here, 'with Ray, all its processes': there}


@contextmanager
def cpu_of_descendants() -> Iterator[dict[int, float]]:
    """The CPU seconds of each process that begins below this one, to a fifth of a second."""
    seconds: dict[int, float] = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            seconds.update(descendants(os.getpid()))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seconds
    finally:
        over.set()
        thread.join()


def descendants(root: int) -> dict[int, float]:
    """The CPU seconds of each process below `root`."""
    parents, seconds = {}, {}
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = stat.read_text().rpartition(')')[2].split()
        except OSError:
            continue
        process = int(stat.parent.name)
        parents[process] = int(fields[1])
        seconds[process] = (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
    found = {root}
    while below := {process for process, parent in parents.items() if parent in found} - found:
        found |= below
    return {process: seconds[process] for process in found - {root} if process in seconds}


def merge_many(folder: Path, count: int) -> Figures:
    """The records of four shards with `count` entries in all: written, finished, merged."""
    started = time.process_time()
    for shard in (Shard(i, SHARDS) for i in range(SHARDS)):
        begin_shards(folder, shard, {}, report=False)
        run = RunFolder(folder, shard)
        for number in range(shard.index, count, SHARDS):
            name = name_of(number * 7_919 % count)  # in no order
            run.log({'file': name, 'status': 'ok', 'ms': 12.3, 'height': 512, 'width': 512, 'mask': f'masks/{name}'})
        run.close()
    written = time.process_time()
    for shard in (Shard(i, SHARDS) for i in range(SHARDS)):
        finish_shard(folder / 'shards' / shard.folder, {'other files': {}})
    finished = time.process_time()
    assert merge(folder)['predicted'] == count
    return {
        'CPU seconds to write': written - started,
        'to finish': finished - written,
        'to merge': time.process_time() - finished,
        'MB at the peak': resident_memory('VmHWM'),
        'MB of records': (folder / 'results.jsonl').stat().st_size / 1e6,
    }


def measure(work: Callable[[Path, int], Figures], size: int, answer) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        answer.put(work(Path(folder), size))


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m benchmarks.scale', description=__doc__.splitlines()[0])
    parser.add_argument('kind', choices=('names', 'records', 'ray'))
    parser.add_argument('--counts', type=int, nargs='+', default=[100_000, 1_000_000])
    args = parser.parse_args()
    work = {'names': predict_listed, 'records': merge_many, 'ray': predict_on_ray}[args.kind]
    print(work.__doc__)
    context = multiprocessing.get_context('spawn')
    for size in args.counts:
        answer = context.Queue()
        process = context.Process(target=measure, args=(work, size, answer))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f'{args.kind} {size} failed: see above.')
        print(f'{size:,}: ' + ', '.join(f'{what} {value:.3g}' for what, value in answer.get().items()), flush=True)


if __name__ == '__main__':
    main()
