"""Predicting a folder, end to end, beside the network alone: the ratio says how much reading and writing add."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.harness import Comparison, Contender
from denseformer.engine import load_config
from denseformer.inference import Predictor, predict_folder
from denseformer.inference.sources import find_items

CONFIG = 'configs/upernet_swin_ade20k.py'
IMAGES = 8
SIDE = 512


def comparisons() -> list[Comparison]:
    images = f'{IMAGES} images of {SIDE} x {SIDE}'
    contenders = (
        Contender('files to masks and overlays', whole_folder, countable=False),
        Contender('the network alone', network_alone, countable=False),
    )
    return [Comparison(f'UPerNet with Swin-Tiny, {images}', contenders)]


def predictor() -> Predictor:
    torch.manual_seed(0)
    return Predictor(load_config(CONFIG), device='cpu')


def folder_of_images() -> tempfile.TemporaryDirectory:
    """JPEG files with structure on many scales, as photographs have."""
    folder = tempfile.TemporaryDirectory()
    rng = np.random.default_rng(0)
    for i in range(IMAGES):
        layers = [rng.integers(0, 256, (SIDE // n, SIDE // n, 3)).repeat(n, 0).repeat(n, 1) for n in (4, 16, 64)]
        Image.fromarray(np.mean(layers, 0).astype(np.uint8)).save(Path(folder.name) / f'{i}.jpg', quality=90)
    return folder


def whole_folder() -> Callable[[], object]:
    model, folder, out = predictor(), folder_of_images(), tempfile.TemporaryDirectory()
    return lambda: predict_folder(model, folder.name, out.name, overwrite=True)


def network_alone() -> Callable[[], object]:
    model = predictor()
    with folder_of_images() as folder:
        inputs = [model.task.prepare(item).inputs[None] for item in find_items(folder)]
    return lambda: [model.task.scores(image) for image in inputs]
