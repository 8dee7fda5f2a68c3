"""Small models and images for tests that predict."""

import json
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModule

from denseformer.engine import load_config
from denseformer.inference.predictor import build_model
from denseformer.registry import MODELS
from denseformer.restoration.networks import CFSR

CONFIG = 'configs/upernet_dinat_nano_sample.py'
UTM = [
    (33550, 12, 3, (10.0, 10.0, 0.0), True),
    (33922, 12, 6, (0.0, 0.0, 0.0, 500_000.0, 4_000_000.0, 0.0), True),
    (34735, 3, 8, (1, 1, 0, 1, 3072, 0, 1, 32633), True),
]
"""The tags of a georeference."""


@MODELS.register_module(force=True)
class ShortSighted(BaseModule):
    """Looks no further than a few pixels."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 8, stride=4, padding=2), torch.nn.GELU())

    def forward(self, image):
        return (self.layers(image),)


def short_sighted_config() -> Config:
    """The sample set's classes and pipeline, with a model of bounded receptive field."""
    config = load_config(CONFIG)
    config.custom_imports = None
    head = dict(
        type='FCNHead', in_channels=16, in_index=0, channels=16, num_convs=1, concat_input=False,
        num_classes=config.num_classes, norm_cfg=dict(type='BN'), align_corners=False,
    )  # fmt: skip
    config.model = dict(
        type='EncoderDecoder', data_preprocessor=config.model.data_preprocessor,
        backbone=dict(type='denseformer.ShortSighted'), decode_head=head, test_cfg=dict(mode='whole'),
    )  # fmt: skip
    return config


def write_segmentor(path: Path) -> Path:
    """A checkpoint with random weights of the model of `CONFIG`."""
    torch.manual_seed(0)
    torch.save({'state_dict': build_model(load_config(CONFIG)).state_dict()}, path)
    return path


def write_restorer(path: Path) -> Path:
    """Random weights of a small network that doubles an image's size."""
    torch.manual_seed(0)
    network = CFSR(arch=dict(dim=16, groups=1, blocks=1, kernel_size=9, mlp_ratio=2), scale=2)
    torch.save({'params': network.state_dict()}, path)
    return path


def image_of(height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8: random squares."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return np.ascontiguousarray(np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width])


def record(out: Path) -> dict[str, dict]:
    """The record of a run, by file."""
    lines = (out / 'results.jsonl').read_text().splitlines()
    return {entry['file']: entry for entry in map(json.loads, lines)}
