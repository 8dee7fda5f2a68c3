"""Restoration of a folder: every image as its network restores it, in its own depth and format.

python examples/restore_folder.py work_dirs/demo_restoration/iter_800.pth data/photographs restored

The network is recognized by its weights, so that a checkpoint of its authors needs no config either.
"""

import sys
from pathlib import Path

from denseformer.inference import Predictor


def main(checkpoint: str, images: str, out: str) -> None:
    predictor = Predictor(checkpoint, tile=256)  # larger images in tiles of this side, which bounds memory
    for result in predictor(images):
        path = Path(out, result.name).with_suffix(result.suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        result.save(path)

        height, width, _ = result.image.shape
        print(f'{result.name} -> {path}: {width} x {height} pixels, {result.image.dtype}')


if __name__ == '__main__':
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
