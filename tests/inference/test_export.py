"""Exported files give what the model gives, and take its place."""

import numpy as np
import pytest
import torch
from PIL import Image

from denseformer.cli import main
from denseformer.inference import Predictor
from denseformer.inference.export import export

from .conftest import CONFIG
from .test_restoration import weights  # noqa: F401
from .test_segmentation import image_of, short_sighted  # noqa: F401

pytest.importorskip('onnxruntime', reason='needs the extra: pip install denseformer[export]')
pytest.importorskip('onnxscript', reason='needs the extra: pip install denseformer[export]')
SUFFIXES = ('.onnx', '.pt2')


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_an_exported_restoration_network_takes_its_place(weights, suffix, tmp_path):  # noqa: F811
    path = tmp_path / f'network{suffix}'
    assert export(Predictor(weights, device='cpu'), path, 128)['relative difference'] < 1e-4
    for size in [(20, 30), (128, 128), (150, 200)]:
        (ours,) = Predictor(weights, device='cpu')(image_of(*size))
        (theirs,) = Predictor(path, device='cpu')(image_of(*size))
        middle = (
            (slice(0, 2 * size[0] - 64), slice(0, 2 * size[1] - 64)) if min(size) > 64 else (slice(0, 1), slice(0, 1))
        )
        assert theirs.image.shape == ours.image.shape
        assert np.abs(ours.image[middle].astype(int) - theirs.image[middle]).max() <= 1


def test_an_exported_segmentor_takes_its_place_on_the_command_line(checkpoint, predictor, tmp_path):
    path = tmp_path / 'model.pt2'
    assert main(['export', CONFIG, str(checkpoint), '--out', str(path), '--size', '160']) == 0
    Image.fromarray(image_of(160, 160)).save(tmp_path / 'a.png')
    assert main(['infer', str(path), str(tmp_path / 'a.png'), '--out', str(tmp_path / 'out'), '--device', 'cpu']) == 0
    (result,) = predictor(tmp_path / 'a.png')
    assert np.mean(np.asarray(Image.open(tmp_path / 'out/masks/a.png')) != result.mask) < 1e-3
    assert list(tmp_path.glob('.*')) == []


def test_an_exported_segmentor_takes_its_place_in_onnx(short_sighted, tmp_path):  # noqa: F811
    torch.manual_seed(0)
    predictor = Predictor(short_sighted, device='cpu', native=True)
    assert export(predictor, tmp_path / 'model.onnx', 256)['relative difference'] < 1e-4
    exported = Predictor(tmp_path / 'model.onnx', device='cpu', native=True)
    assert exported.task.classes == predictor.task.classes
    (ours,), (theirs,) = predictor(image_of(480, 416)), exported(image_of(480, 416))
    assert np.mean(ours.mask != theirs.mask) < 1e-3


def test_an_operator_that_onnx_lacks_is_named(predictor, tmp_path):
    with pytest.raises(ValueError, match='neighborhood_attention'):
        export(predictor, tmp_path / 'model.onnx', 160)


def test_what_cannot_be_exported_leaves_nothing(weights, tmp_path, monkeypatch):  # noqa: F811
    predictor = Predictor(weights, device='cpu')
    monkeypatch.setattr(predictor.task.network, 'forward', lambda images: images * float(images.mean()))
    with pytest.raises(ValueError, match='cannot be exported'):
        export(predictor, tmp_path / 'network.pt2', 64)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_says_nothing_of_itself_is_an_error(tmp_path):
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.rand(1),)), tmp_path / 'other.pt2')
    with pytest.raises(ValueError, match='was not written by'):
        Predictor(tmp_path / 'other.pt2', device='cpu')
