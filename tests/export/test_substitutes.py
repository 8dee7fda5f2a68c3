"""Substitutes in an exported file compute what the modules compute that they stand for."""

from importlib.util import find_spec

import pytest
import torch
from mmseg.models.utils import Upsample
from torch import nn
from torch.nn import functional as F

from denseformer.backbones.plain.vit_adapter import DeformableAttention, centers
from denseformer.detection.git.vocabulary import Vocabulary
from denseformer.detection.mask2former import Mask2FormerSemanticHead
from denseformer.export.runtime import Sizes
from denseformer.export.substitutes import Enlarged, PixelDecoder, Words, tokens_of, traceable
from denseformer.export.tracing import SMALL_MAPS, Graph, trace, write

needs_onnx = pytest.mark.skipif(
    not all(find_spec(name) for name in ('onnx', 'onnxruntime', 'onnxscript')), reason='needs denseformer[export]'
)


def test_pooling_cuts_cells_as_pytorch_does():
    graph = Graph(traceable(nn.Sequential(nn.AdaptiveAvgPool2d(6))), 3, test_inputs=SMALL_MAPS)
    module = trace(graph, Sizes(batches=True)).module(check_guards=False)
    for size in [(97, 64), (6, 13), (4, 5)]:
        images = torch.rand(2, 3, *size)
        torch.testing.assert_close(module(images), F.adaptive_avg_pool2d(images, 6))


@pytest.mark.parametrize('options', [{'scale_factor': 2, 'mode': 'bilinear'}, {'size': (9, 7)}])
def test_maps_are_enlarged_as_mmsegmentation_does(options):
    theirs = Upsample(**options)
    graph = Graph(traceable(nn.Sequential(theirs)), 3, test_inputs=SMALL_MAPS)
    module = trace(graph, Sizes(batches=True)).module(check_guards=False)
    for size in [(97, 64), (6, 13)]:
        images = torch.rand(2, 3, *size)
        torch.testing.assert_close(module(images), theirs(images))


def test_maps_are_enlarged_by_parts_of_their_sides():
    theirs, images = Upsample(scale_factor=1.5), torch.rand(2, 3, 5, 8)
    torch.testing.assert_close(Enlarged(theirs)(images), theirs(images))


class MaskModel(nn.Module):
    """Mask2Former's head on pooled pixels: images to class scores of as many pixels."""

    def __init__(self, strides=(4, 8, 16, 32)):
        super().__init__()
        self.strides = strides
        self.head = Mask2FormerSemanticHead(
            in_channels=[3] * len(strides),
            num_classes=2,
            num_queries=3,
            width=32,
            num_heads=2,
            encoder_layers=1,
            decoder_layers=1,
            encoder_hidden=16,
            decoder_hidden=16,
        )
        for layer in self.head.pixel_decoder.encoder.layers:  # at first all queries read the same places around them
            nn.init.normal_(layer.self_attn.sampling_offsets.weight)
            nn.init.normal_(layer.self_attn.attention_weights.weight)

    def maps(self, images):
        return [F.avg_pool2d(images, stride, ceil_mode=True) for stride in self.strides]

    def forward(self, images):
        return self.head.predict(self.maps(images), [{'img_shape': images.shape[2:]}], {})


@pytest.mark.parametrize('strides', [(4, 8, 16, 32), (8, 16, 32)])
def test_the_pixel_decoder_computes_mmdetections_maps(strides):
    torch.manual_seed(0)
    model = MaskModel(strides).eval()
    substitute = traceable(model).head.pixel_decoder
    assert type(substitute) is PixelDecoder
    maps = model.maps(torch.rand(2, 3, 72, 101))
    with torch.no_grad():
        for ours, theirs in zip(substitute(maps), model.head.pixel_decoder(maps), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope='module')
def traced_masks():
    torch.manual_seed(0)
    graph, sizes = Graph(traceable(MaskModel()), 3, test_inputs=SMALL_MAPS).eval(), Sizes(side=64)
    return graph, trace(graph, sizes), sizes


@pytest.mark.parametrize('suffix', [pytest.param('.onnx', marks=needs_onnx), '.pt2'])
def test_mask2formers_head_is_exported(traced_masks, suffix, tmp_path):
    graph, program, sizes = traced_masks
    assert write(graph, program, tmp_path / f'file{suffix}', sizes, {}).relative < 1e-4


class Attention(nn.Module):
    """Deformable attention between an image and its half: (B, 8, H, W) -> (B, N, 8)."""

    def __init__(self):
        super().__init__()
        self.attn = DeformableAttention(8, heads=2, levels=2, ratio=1.0, points=3)

    def forward(self, images):
        maps = images, images[:, :, ::2, ::2]
        sizes = tuple((x.shape[2], x.shape[3]) for x in maps)
        x = torch.cat([tokens_of(x) for x in maps], 1)
        return self.attn(x, centers(sizes, x.device), x, sizes)


@needs_onnx
def test_deformable_attention_is_exported_for_any_size(tmp_path):
    torch.manual_seed(0)
    graph, sizes = Graph(Attention(), 8, test_inputs=SMALL_MAPS).eval(), Sizes(batches=True)
    written = write(graph, trace(graph, sizes), tmp_path / 'file.onnx', sizes, {})
    assert written.sizes == Sizes(smallest=8, batches=True)
    assert written.relative < 1e-4


@pytest.fixture
def vocabulary(tmp_path):
    (tmp_path / 'vocab.txt').write_text('\n'.join(['[PAD]', '[UNK]', 'cat', 'traffic', 'light', 'semantic']))
    torch.manual_seed(0)
    options = dict(task='semantic_segmentation', num_bins=None, dropout=0.5, words_from=None)
    return Vocabulary(8, ['cat', 'traffic light'], vocabulary=str(tmp_path / 'vocab.txt'), **options)


class Speaker(nn.Module):
    """The words as tokens at the second place of a sequence, moved by the mean of an image."""

    def __init__(self, vocabulary):
        super().__init__()
        self.vocabulary = vocabulary

    def forward(self, images):
        words, task = self.vocabulary.vectors()
        return images.mean() + self.vocabulary.embed((words + task)[:, None], 1)


def test_words_are_traced_with_their_vectors_and_without_the_table_of_pieces(vocabulary):
    model = Speaker(vocabulary).eval()
    substitute = traceable(model)
    assert type(substitute.vocabulary) is Words
    assert substitute.vocabulary.words.shape == (3, 8)
    assert all(len(values) <= 512 for values in substitute.state_dict().values())
    images = torch.rand(1, 3, 8, 8)
    module = trace(Graph(substitute, 3, test_inputs=SMALL_MAPS), Sizes(side=8)).module()
    torch.testing.assert_close(module(images), model(images), rtol=1e-4, atol=1e-5)
