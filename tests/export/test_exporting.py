"""Exported files give what the model gives, and take its place."""

import pickle
import re
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image
from predicting import CONFIG, image_of, short_sighted_config, write_restorer, write_segmentor
from torch import nn

from denseformer.backbones import NAT, DiNAT, Swin, UniFormer
from denseformer.cli import main
from denseformer.detection.kmax.network import resized
from denseformer.dynamic_shapes import ceil_div
from denseformer.export.exporting import export, with_stable_order
from denseformer.export.runtime import Sizes
from denseformer.export.tracing import SMALL_MAPS, ExportError, Graph, place_of, trace, write
from denseformer.inference import Predictor
from denseformer.restoration.networks import CATANet
from tools.docs.export import Maps

needs_onnx = pytest.mark.skipif(
    not all(find_spec(name) for name in ('onnx', 'onnxruntime', 'onnxscript')), reason='needs denseformer[export]'
)
SUFFIXES = (pytest.param('.onnx', marks=needs_onnx), '.pt2')


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """Weights of a small restoration network."""
    return write_restorer(tmp_path_factory.mktemp('weights') / 'small.pth')


@pytest.fixture(scope='module', params=SUFFIXES)
def dynamic_file(request, weights, tmp_path_factory):
    """A restoration network, exported for any size."""
    path = tmp_path_factory.mktemp('exported') / f'network{request.param}'
    return path, export(Predictor(weights, device='cpu'), path)


def test_a_file_for_any_size_says_what_it_takes(dynamic_file):
    path, done = dynamic_file
    assert done.written.sizes == Sizes(smallest=8, batches=True)
    assert done.written.relative < 1e-4
    assert not done.refusals
    assert 'any size from 8 on' in str(done)
    assert path.stat().st_size > 1000


@pytest.mark.parametrize('size', [(5, 30), (64, 64), (150, 201)])
def test_a_file_for_any_size_gives_what_the_network_gives(dynamic_file, weights, size):
    (ours,) = Predictor(weights, device='cpu')(image_of(*size))
    (theirs,) = Predictor(dynamic_file[0], device='cpu')(image_of(*size))
    assert theirs.image.shape == ours.image.shape
    middle = (slice(0, max(2 * size[0] - 64, 1)), slice(0, max(2 * size[1] - 64, 1)))  # short sides are padded
    assert np.abs(ours.image[middle].astype(int) - theirs.image[middle]).max() <= 1


def test_a_file_for_any_size_takes_images_together(dynamic_file):
    path, _ = dynamic_file
    images = torch.rand(3, 3, 40, 33)
    model = Predictor(path, device='cpu').model
    torch.testing.assert_close(model(images)[1:2], model(images[1:2]), rtol=1e-4, atol=1e-5)


def test_a_predictor_of_a_file_reads_it_again_in_another_process(dynamic_file):
    path, _ = dynamic_file
    predictor = Predictor(path, device='cpu')
    images = torch.rand(1, 3, 20, 33)
    torch.testing.assert_close(pickle.loads(pickle.dumps(predictor)).model(images), predictor.model(images))


def test_a_file_for_tiles_gives_what_the_network_gives_without_a_seam(weights, tmp_path):
    done = export(Predictor(weights, device='cpu'), tmp_path / 'network.pt2', 128)
    assert done.written.sizes == Sizes(side=128)
    whole, tiled = Predictor(weights, device='cpu'), Predictor(tmp_path / 'network.pt2', device='cpu')
    for size in [(20, 30), (128, 128), (150, 300)]:
        (ours,), (theirs,) = whole(image_of(*size)), tiled(image_of(*size))
        middle = tuple(slice(0, 2 * side - 64 if side > 64 else 1) for side in size)
        assert np.abs(ours.image[middle].astype(int) - theirs.image[middle]).max() <= 1


def test_a_segmentor_takes_its_place_on_the_command_line(tmp_path, capsys):
    checkpoint = write_segmentor(tmp_path / 'random.pth')
    path = tmp_path / 'model.pt2'
    assert main(['export', CONFIG, str(checkpoint), '--out', str(path), '--size', '160']) == 0
    assert 'images of 160 x 160' in capsys.readouterr().out
    Image.fromarray(image_of(160, 160)).save(tmp_path / 'a.png')
    assert main(['infer', str(path), str(tmp_path / 'a.png'), '--out', str(tmp_path / 'out'), '--device', 'cpu']) == 0
    (result,) = Predictor(CONFIG, checkpoint, device='cpu')(tmp_path / 'a.png')
    assert np.mean(np.asarray(Image.open(tmp_path / 'out/masks/a.png')) != result.mask) < 1e-3
    assert list(tmp_path.glob('.*')) == []


@pytest.fixture(scope='module')
def segmentor() -> Predictor:
    torch.manual_seed(0)
    return Predictor(short_sighted_config(), device='cpu', native=True)


@needs_onnx
def test_a_segmentor_for_any_size_takes_its_place_in_onnx(segmentor, tmp_path):
    assert export(segmentor, tmp_path / 'model.onnx').written.sizes.side is None
    exported = Predictor(tmp_path / 'model.onnx', device='cpu', native=True)
    assert exported.task.classes == segmentor.task.classes
    for size in [(480, 416), (161, 97)]:
        (ours,), (theirs,) = segmentor(image_of(*size)), exported(image_of(*size))
        assert np.mean(ours.mask != theirs.mask) < 1e-3


def test_a_config_that_tests_in_tiles_gives_a_file_for_them(segmentor, tmp_path, monkeypatch):
    monkeypatch.setattr(segmentor.model, 'test_cfg', dict(mode='slide', crop_size=(128, 128), stride=(96, 96)))
    assert export(segmentor, tmp_path / 'model.pt2').written.sizes == Sizes(side=128)


@needs_onnx
def test_an_operator_that_onnx_lacks_is_named(segmentor, tmp_path, monkeypatch):
    head = segmentor.task.model.decode_head
    monkeypatch.setattr(head, 'forward', lambda maps: torch.linalg.eigh(maps[0][:, :8, :8, :8]).eigenvectors)
    with pytest.raises(ValueError, match='eigh'):
        export(segmentor, tmp_path / 'model.onnx', 160)


def test_the_line_of_the_network_is_named():
    with pytest.raises(ValueError, match='none') as raised:
        Swin(arch='none')
    assert re.fullmatch(r' \(denseformer/[\w/]+\.py:\d+\)', place_of(raised.value))
    assert place_of(ValueError('of no network')) == ''


def test_what_cannot_be_exported_leaves_nothing(weights, tmp_path, monkeypatch):
    predictor = Predictor(weights, device='cpu')
    monkeypatch.setattr(predictor.task.network, 'forward', lambda images: images * float(images.mean()))
    with pytest.raises(ValueError, match='cannot be exported') as raised:
        export(predictor, tmp_path / 'network.pt2')
    assert all(part in str(raised.value) for part in ('any size', '512 x 512'))
    assert list(tmp_path.iterdir()) == []


class Threshold(nn.Module):
    """Decides by the size of its images, as no network may that is traced for any size."""

    def __init__(self, side: int):
        super().__init__()
        self.side = side

    def forward(self, images):
        return images + (1 if images.shape[2] > self.side else 2)


@pytest.mark.parametrize(('side', 'smallest'), [(40, 64), (10, 32)])
def test_a_graph_that_holds_for_large_images_says_from_where_on(side, smallest, tmp_path):
    graph = Graph(Threshold(side), 3, test_inputs=SMALL_MAPS)
    sizes = Sizes(batches=True)
    written = write(graph, trace(graph, sizes), tmp_path / 'file.pt2', sizes, {})
    assert written.sizes == Sizes(smallest=smallest, batches=True)


def test_a_file_that_disagrees_is_refused_and_leaves_nothing(tmp_path):
    graph = Graph(nn.ReLU(), 3, test_inputs=SMALL_MAPS)
    program = trace(graph, Sizes())
    graph.model = nn.Softplus()
    with pytest.raises(ExportError, match='differs'):
        write(graph, program, tmp_path / 'file.pt2', Sizes(), {})
    assert list(tmp_path.iterdir()) == []


class Ranking(nn.Module):
    """Values in the descending order of what they are rounded to."""

    def forward(self, images):
        order = (images * 5).long().flatten(2).argsort(dim=-1, descending=True, stable=True)
        return images.flatten(2).gather(-1, order).view_as(images)


class Pruning(nn.Module):
    """The stage of UniFormer that leaves tokens out; at first all have the same score."""

    def __init__(self):
        super().__init__()
        arch = dict(widths=(16, 16, 16, 16), depths=(1, 1, 2, 1), head_dim=8, mlp_ratio=1, light=True)
        self.stage = UniFormer(arch=arch, out_indices=(2,)).stages[2]

    def forward(self, images):
        return self.stage(images.permute(0, 2, 3, 1))[0]


class Half(nn.Module):
    """The upper half of an image, and the row in the middle."""

    def forward(self, images):
        return images[:, :, : ceil_div(images.shape[2], 2)]


class Enlarged(nn.Module):
    """Every other pixel, enlarged as kMaX-DeepLab does: in one of two ways, as the width is odd or even."""

    def forward(self, images):
        return resized(images[:, :, ::2, ::2], images.shape[2:], images.shape[3] % 2)


TINY = dict(width=16, depths=(1, 1, 1, 1), heads=(2, 2, 2, 2), mlp_ratio=1)
PARTS = {
    'NAT': (lambda: Maps(NAT(arch=TINY, kernel_size=3, out_indices=(0,))), 3),
    'DiNAT': (lambda: Maps(DiNAT(arch=TINY, kernel_size=3, dilations=((2,), (1,), (1,), (1,)), out_indices=(0,))), 3),
    'Swin': (
        lambda: Maps(Swin(arch=dict(width=16, depths=(2, 1, 1, 1), heads=(2,) * 4, window=4), out_indices=(0,))),
        3,
    ),
    'ranking what is alike': (Ranking, 1),
    'pruning tokens of one score': (Pruning, 16),
    'what is left of an odd side': (Half, 1),
    'what an odd side decides': (Enlarged, 1),
}


@needs_onnx
@pytest.mark.parametrize('name', PARTS)
def test_a_part_becomes_operators_of_onnx_for_any_size(name, tmp_path):
    torch.manual_seed(0)
    model, channels = PARTS[name]
    graph = Graph(model(), channels, test_inputs=SMALL_MAPS).eval()
    sizes = Sizes(batches=True)
    written = write(graph, trace(graph, sizes), tmp_path / 'file.onnx', sizes, {})
    assert written.sizes == Sizes(smallest=8, batches=True)
    assert written.relative < 1e-4


def test_a_network_that_sorts_is_exported_in_a_stable_order():
    network = CATANet(scale=2)
    orders = {block.tokens.attn.stable_order for block in with_stable_order(network).blocks}
    assert orders == {True}
    assert not network.blocks[0].tokens.attn.stable_order


def test_detectors_are_refused_with_the_reason(tmp_path):
    predictor = Predictor('configs/mask_rcnn_dinat_nano_sample.py', device='cpu')
    with pytest.raises(ValueError, match=r'MaskRCNN cannot be exported: .*non-maximum suppression'):
        export(predictor, tmp_path / 'model.onnx')


def test_a_file_that_says_nothing_of_itself_is_an_error(tmp_path):
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.rand(1),)), tmp_path / 'other.pt2')
    with pytest.raises(ValueError, match='was not written by'):
        Predictor(tmp_path / 'other.pt2', device='cpu')


@pytest.mark.parametrize('share', [0.0, 0.3, 0.95])
def test_a_truncated_file_is_an_error_that_names_it(dynamic_file, share, tmp_path):
    path, _ = dynamic_file
    truncated = tmp_path / f'truncated{path.suffix}'
    content = path.read_bytes()
    truncated.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=rf"truncated\{path.suffix}' cannot be loaded \(.*export the model again"):
        Predictor(truncated, device='cpu')
