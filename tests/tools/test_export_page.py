"""The table of exports: a network that takes too long, or all memory, does not stop the others."""

import os
import signal

import pytest

from denseformer.export.runtime import Sizes
from denseformer.export.tracing import Written
from denseformer.restoration.networks import CFSR
from tools.docs import export
from tools.docs.export import HEAD, cells, exportable, measure, missing, with_row

DONE = Written(Sizes(smallest=8, batches=True), 2e-6, 1e-6)


def spin():
    while True:
        pass


def die():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(('fate', 'reason'), [(spin, 'longer than 1 s'), (die, 'ended with code -9')])
def test_what_was_found_before_a_process_ended_counts(monkeypatch, fate, reason):
    def outcomes(graph):
        yield '.pt2', DONE
        fate()

    monkeypatch.setattr(export, 'SECONDS', 1)
    monkeypatch.setattr(export, 'outcomes', outcomes)
    monkeypatch.setattr(export, 'graph_of', lambda cls: None)
    found = measure(CFSR)
    assert found['.pt2'] == DONE
    assert reason in found['.onnx']
    assert cells(found['.onnx']) == (f'no: {found[".onnx"]}', '')


def test_a_row_takes_its_place_in_the_page():
    page = ['text', HEAD, '|---|', '| Swin | old |', '| CFSR | old |', '', 'more']
    page = list(with_row(page, '| CFSR | new |'))
    assert page == ['text', HEAD, '|---|', '| Swin | old |', '| CFSR | new |', '', 'more']
    assert list(with_row(page, '| NAT | new |'))[3:6] == ['| NAT | new |', '| Swin | old |', '| CFSR | new |']


def test_what_has_no_row_is_left_to_measure_plain_backbones_and_networks_of_networks_among_it():
    left = missing(['text', HEAD, '|---|', '| Swin | row |', '| CFSR | row |', 'more'])
    assert set(left) == set(exportable()) - {'Swin', 'CFSR'}
    assert {'DINOv3', 'Hiera', 'ViTAdapter', 'UPLiFT', 'SNNet', 'SwinIR'} <= set(left)
