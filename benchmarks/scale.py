"""Very many images: the rate and the memory of what is not the network, each case in a process of its own.

python -m benchmarks.scale names --counts 1000000 10000000
python -m benchmarks.scale records --counts 100000 1000000
python -m benchmarks.scale ray --counts 100 1100
python -m benchmarks.scale training-data --counts 2000
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
from typing import Any

import cv2
import mmseg.datasets  # noqa: F401 (registers its datasets)
import numpy as np
import torch
from mmengine import fileio
from PIL import Image

from benchmarks.harness import resident_memory
from benchmarks.memory import CONFIG, SMALL
from denseformer.config.packing import write_shards
from denseformer.datasets.building import build_dataset
from denseformer.engine import load_config
from denseformer.inference import Predictor, predict_folder
from denseformer.inference.merging import begin_shards, finish_shard, merge
from denseformer.inference.shards import Shard
from denseformer.inference.writers import RunFolder

IMAGES_IN_SHARD = 100
"""Images that the measured shard of a list has, whatever the length of the list."""
SHARDS = 4
PHOTOGRAPHS = Path(__file__).parents[1] / 'data/photographs'
SIDE = 256
ROUNDS = 3
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


def read_samples(folder: Path, count: int) -> Figures:
    """Samples per second, `count` images (256, 256) and label maps in any order: read, and decoded too, by CPU time.

    'cold' is by the clock, after the system was asked to forget the files; else the best of some rounds.
    """
    write_samples(folder, count)
    in_files = dict(
        type='mmseg.BaseSegDataset',
        data_root=str(folder),
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        metainfo=dict(classes=[str(i) for i in range(8)]),
    )
    files = build_dataset({**in_files, 'pipeline': []})
    write_shards(files, folder / 'shards', 1000)
    write_database(files, folder / 'samples.lmdb')
    database = dict(backend='lmdb', db_path=str(folder / 'samples.lmdb'))
    kinds = {'files': (in_files, None), 'LMDB': (in_files, database)}
    kinds['tar'] = (dict(type='denseformer.TarShards', folder=str(folder / 'shards')), None)
    steps = [dict(type='denseformer.LoadImage'), dict(type='denseformer.LoadSegmentation', num_classes=8)]
    best: Figures = {}
    for kind, (dataset, store) in [*kinds.items()] * ROUNDS:
        decoded = build_dataset({**dataset, 'pipeline': [{**step, 'backend_args': store} for step in steps]})

        def read(number: int, samples=decoded, store=store) -> None:
            info = samples.get_data_info(number)
            for key in ('img_path', 'seg_map_path'):
                fileio.get(info[key], backend_args=store)

        order = np.random.default_rng(0).permutation(count).tolist()
        forget(folder)
        cold = rate(read, order, time.perf_counter)
        best.setdefault(f'{kind} cold', cold)  # of the first round: a database that was read stays in memory
        for what, work in (('read', read), ('decoded', decoded.__getitem__)):
            best[f'{kind} {what}'] = max(best.get(f'{kind} {what}', 0), rate(work, order, time.process_time))
    return best


def rate(work: Callable[[int], object], numbers: list[int], clock: Callable[[], float]) -> float:
    """Calls per second."""
    started = clock()
    for number in numbers:
        work(number)
    return len(numbers) / (clock() - started)


def write_samples(folder: Path, count: int) -> None:
    """Photographs' crops as JPEG files, and label maps as PNG files."""
    photographs = [cv2.imread(str(path)) for path in sorted(PHOTOGRAPHS.glob('*'))]
    photographs = [image for image in photographs if image is not None and min(image.shape[:2]) > SIDE]
    random = np.random.default_rng(0)
    for name in ('images', 'masks'):
        (folder / name).mkdir()
    for number in range(count):
        image = photographs[number % len(photographs)]
        top, left = (int(random.integers(size - SIDE)) for size in image.shape[:2])
        crop = image[top : top + SIDE, left : left + SIDE]
        cv2.imwrite(str(folder / f'images/{number:06d}.jpg'), crop)
        cv2.imwrite(str(folder / f'masks/{number:06d}.png'), cv2.blur(crop[..., 1], (9, 9)) // 32)


def write_database(dataset: Any, path: Path) -> None:
    """Write the dataset's files in mmengine's LMDB layout."""
    import lmdb

    with lmdb.open(str(path), map_size=2**36) as database, database.begin(write=True) as transaction:
        for info in map(dataset.get_data_info, range(len(dataset))):
            for key in ('img_path', 'seg_map_path'):
                transaction.put(info[key].encode(), Path(info[key]).read_bytes())


def forget(folder: Path) -> None:
    """Ask the system to drop the files of a folder from its cache."""
    os.sync()
    for path in folder.rglob('*'):
        if path.is_file():
            with path.open('rb') as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(work: Callable[[Path, int], Figures], size: int, answer) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        answer.put(work(Path(folder), size))


KINDS = {'names': predict_listed, 'records': merge_many, 'ray': predict_on_ray, 'training-data': read_samples}


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m benchmarks.scale', description=__doc__.splitlines()[0])
    parser.add_argument('kind', choices=tuple(KINDS))
    parser.add_argument('--counts', type=int, nargs='+', default=[100_000, 1_000_000])
    args = parser.parse_args()
    work = KINDS[args.kind]
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
