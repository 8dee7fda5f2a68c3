"""Files of models of queries find the objects that the models find, by the same fusion."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from predicting import image_of
from torch import nn

from denseformer.export import export
from denseformer.export.runtime import Sizes
from denseformer.export.tracing import SMALL_MAPS, ExportError, Graph, trace, write
from denseformer.inference import Predictor
from tools.docs.systems_table import predictor_of, recipe_of

TINY = {
    'backbone': {'arch': {'_delete_': True, 'width': 32, 'blocks': 1, 'heads': 2}, 'patch_size': 16},
    'encoder': {'num_queries': 4, 'query_blocks': 1},
}


@pytest.fixture(scope='module')
def predictor(tmp_path_factory) -> Predictor:
    """EoMT with random weights, for things and stuff, that keeps every query."""
    config = recipe_of('eomt', 'panoptic', tmp_path_factory.mktemp('recipe'), TINY)
    config.model.panoptic_fusion_head.update(score_threshold=0.0, kept_share=0.0)
    predictor = predictor_of(config)
    torch.nn.init.normal_(predictor.model.backbone.class_head.weight)
    return predictor


def test_a_file_of_queries_finds_what_the_model_finds(predictor, tmp_path):
    path = tmp_path / 'model.pt2'
    written = export(predictor, path).written
    assert written.sizes.side is None
    assert written.relative < 1e-4
    exported = Predictor(path, device='cpu')
    assert exported.task.facts() == predictor.task.facts()
    for size in [(96, 70), (20, 150)]:  # the second one is smaller than what the file was compared at
        (ours,), (theirs,) = predictor(image_of(*size)), exported(image_of(*size))
        assert len(ours.segments) > 1
        assert theirs.segments == ours.segments
        assert np.mean(theirs.panoptic != ours.panoptic) < 1e-3
        assert np.array_equal(theirs.instances.labels, ours.instances.labels)
        np.testing.assert_allclose(theirs.instances.scores, ours.instances.scores, rtol=1e-3)
        assert np.mean(theirs.masks != ours.masks) < 1e-3


class Pair(nn.Module):
    """A number for each channel, and the image doubled, or tripled."""

    factor = 2

    def forward(self, images):
        return images.mean((2, 3)), self.factor * images


@pytest.mark.skipif(not find_spec('onnxruntime'), reason='needs denseformer[export]')
def test_all_outputs_of_a_file_are_named_and_compared(tmp_path):
    graph, sizes = Graph(Pair(), 3, test_inputs=SMALL_MAPS, outputs=('means', 'doubled')), Sizes(side=8)
    program = trace(graph, sizes)
    write(graph, program, tmp_path / 'file.onnx', sizes, {})
    from onnxruntime import InferenceSession

    session = InferenceSession(tmp_path / 'file.onnx', providers=['CPUExecutionProvider'])
    assert [output.name for output in session.get_outputs()] == ['means', 'doubled']
    graph.model.factor = 3
    with pytest.raises(ExportError, match='differs'):
        write(graph, program, tmp_path / 'other.onnx', sizes, {})


def test_a_size_for_a_detector_is_refused_with_the_reason(predictor, tmp_path):
    with pytest.raises(ValueError, match='leave out the size'):
        export(predictor, tmp_path / 'model.pt2', 128)
