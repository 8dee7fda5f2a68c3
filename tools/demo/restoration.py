"""Super-resolution from photographs to pictures: enlarge, train, score, enlarge. `make demo-restoration` runs it.

Trained for a few minutes on eight of the project's photographs, a small CFSR is compared with bicubic interpolation on
the three that it has not seen.
"""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from denseformer.engine import load_config
from denseformer.restoration import from_checkpoint, imresize
from denseformer.restoration.metrics.image_quality import psnr, ssim
from tools.demo.segmentation import show_finished, train_and_score

CONFIG = 'configs/cfsr_small_x2_photographs.py'
FOLDER = Path('data/photographs')
RUN = Path('work_dirs/demo_restoration')


def demo() -> int:
    """Enlarge with the finished network; train, score against bicubic interpolation, enlarge what was held out."""
    console = Console()
    held_out = load_config(CONFIG).held_out
    show_finished(Path(CONFIG).stem, [FOLDER / f'{name}.jpg' for name in held_out], RUN, console)
    checkpoint = train_and_score(CONFIG, RUN, console)
    if checkpoint is None:
        return 1
    console.rule('compare and enlarge')
    rows = compare(checkpoint, held_out)
    console.print(as_table(rows))
    gain = np.mean([row['PSNR'] - row['PSNR, bicubic'] for row in rows])
    (RUN / 'comparison.json').write_text(json.dumps({'gain in dB': round(float(gain), 3), 'images': rows}, indent=2))
    console.print(
        f'{gain:+.2f} dB over bicubic interpolation. Enlarged photographs, before | after: {RUN / "enlarged"}'
    )
    return 0 if gain > 0 else 1


@torch.inference_mode()
def compare(checkpoint: str, names: tuple[str, ...]) -> list[dict]:
    """PSNR and SSIM of each photograph, halved and restored; its enlargement, beside bicubic's, is written."""
    network = from_checkpoint(checkpoint)
    rows = []
    for name in names:
        target = read(FOLDER / f'{name}.jpg')
        low = imresize(target, 0.5)
        bicubic, restored = imresize(low, 2), enlarge(network, low)
        row: dict = {'image': name}
        for label, image in (('', restored), (', bicubic', bicubic)):
            pair = as_tensor(image), as_tensor(target)
            row[f'PSNR{label}'] = psnr(*pair, crop_border=2)
            row[f'SSIM{label}'] = ssim(*pair, crop_border=2)
        rows.append(row)
        write_pair(name, imresize(target, 2), enlarge(network, target))
        write_pair(f'{name}_halved', bicubic, restored)
    return rows


def read(path: Path) -> np.ndarray:
    """(H, W, 3) uint8, R, G, B, cropped to even sides."""
    image = np.asarray(Image.open(path).convert('RGB'))
    return image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]


def enlarge(network: torch.nn.Module, image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (2 H, 2 W, 3) uint8."""
    restored = network(as_tensor(image)[None] / 255)[0]
    return (restored.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def as_tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)  # (3, H, W)


def write_pair(name: str, before: np.ndarray, after: np.ndarray) -> None:
    folder = RUN / 'enlarged'
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate([before, after], axis=1)).save(folder / f'{name}.png')


def as_table(rows: list[dict]) -> Table:
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f'{value:.4g}' for value in row.values()))
    return table


if __name__ == '__main__':
    raise SystemExit(demo())
