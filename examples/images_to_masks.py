"""Own images to masks: what `denseformer infer` does, in Python, with each result in hand.

python examples/images_to_masks.py upernet_dinat_nano_sample work_dirs/demo/iter_1200.pth data/photographs masks

Each mask is a PNG file whose values are indices of classes, and whose palette shows them in color.
"""

import sys
from pathlib import Path

from denseformer.inference import Predictor


def main(config: str, checkpoint: str, images: str, out: str) -> None:
    predictor = Predictor(config, checkpoint)
    for result in predictor(images):  # images one by one: a folder may be larger than memory
        path = Path(out, result.name).with_suffix('.png')  # sub-folders stay
        path.parent.mkdir(parents=True, exist_ok=True)
        result.save(path)
        result.plot().save(path.with_name(f'{path.stem}_overlay.jpg'))

        height, width = result.mask.shape
        largest, share = next(iter(result.shares.items()))
        print(f'{result.name}: {width} x {height} pixels, {share:.0%} of them {largest}')


if __name__ == '__main__':
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
