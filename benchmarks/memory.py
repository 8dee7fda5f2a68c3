"""Peak memory of predicting, each case in a process of its own: large images and long folders must not need more.

python -m benchmarks.memory image --sides 5000 10000 20000
python -m benchmarks.memory folder --counts 100 1000
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.harness import resident_memory
from denseformer.engine import load_config
from denseformer.images.metadata import Metadata
from denseformer.images.tiffs import Layout, write_bands
from denseformer.inference import Predictor, predict_folder

CONFIG = 'configs/upernet_dinat_nano_sample.py'
SMALL = {
    'type': 'EncoderDecoder',
    'backbone': {
        'type': 'denseformer.ConvNeXt',
        'arch': {'width': 8, 'depths': (1, 1, 1, 1)},
        'out_indices': (0,),
    },
    'decode_head': {
        'type': 'FCNHead',
        'in_channels': 8,
        'in_index': 0,
        'channels': 8,
        'num_convs': 1,
        'num_classes': 8,
        'norm_cfg': {'type': 'BN'},
        'align_corners': False,
    },
    'test_cfg': {'mode': 'whole'},
}
"""A segmentation model of a few thousand parameters: where the image is large, all time and memory is its handling."""
DISTINCT = 20


def predict_image(folder: Path, side: int) -> None:
    """A mask of a tiled TIFF file of side x side pixels, read and written in windows."""
    config = load_config(CONFIG)
    config.model = {**SMALL, 'data_preprocessor': config.model.data_preprocessor}
    source = folder / f'{side}.tif'
    layout = Layout((side, side), 3, np.dtype(np.uint8), Metadata())
    write_bands(source, layout, bands(side))
    predictor = Predictor(config, device='cpu', native=True, max_pixels=1 << 20, tile=1024)
    assert not predict_folder(predictor, source, folder / 'out')['failures']


def bands(side: int, height: int = 256) -> Iterator[np.ndarray]:
    """Rows of an image with structure, (height, side, 3)."""
    columns = np.arange(side)
    for top in range(0, side, height):
        rows = np.arange(top, min(top + height, side))[:, None]
        waves = [(rows // n + columns // (2 * n)) % 256 for n in (3, 17, 61)]
        yield np.stack(waves, 2).astype(np.uint8)


def predict_many(folder: Path, count: int) -> None:
    """Masks and overlays of `count` JPEG files of 512 x 512 pixels."""
    (folder / 'in').mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        path = folder / f'in/{i:05d}.jpg'
        if i < DISTINCT:
            coarse = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
            coarse.resize((512, 512), Image.Resampling.BICUBIC).save(path, quality=90)
        else:
            path.hardlink_to(folder / f'in/{i % DISTINCT:05d}.jpg')
    predictor = Predictor(CONFIG, device='cpu')
    assert not predict_folder(predictor, folder / 'in', folder / 'out')['failures']


def measure(work: Callable[[Path, int], None], size: int, threads: int, answer) -> None:
    """Put the peak memory in MB and the seconds of a piece of work into the queue `answer`."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        work(Path(folder), size)
        answer.put((resident_memory('VmHWM'), time.perf_counter() - started))


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m benchmarks.memory', description=__doc__.splitlines()[0])
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    kinds = parser.add_subparsers(dest='kind', required=True)
    kinds.add_parser('image').add_argument(
        '--sides', dest='sizes', type=int, nargs='+', default=[5_000, 10_000, 20_000]
    )
    kinds.add_parser('folder').add_argument('--counts', dest='sizes', type=int, nargs='+', default=[100, 1_000])
    args = parser.parse_args()
    work = {'image': predict_image, 'folder': predict_many}[args.kind]
    print(work.__doc__)
    context = multiprocessing.get_context('spawn')
    for size in args.sizes:
        answer = context.Queue()
        process = context.Process(target=measure, args=(work, size, args.threads, answer))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f'{args.kind} {size} failed: see above.')
        peak, seconds = answer.get()
        print(f'{args.kind} {size:6,}: peak {peak:.0f} MB, {seconds:.0f} s', flush=True)


if __name__ == '__main__':
    main()
