"""The confusion matrix that a test run leaves behind."""

import json

import numpy as np
import pytest
from PIL import Image

from denseformer.engine.confusion_matrix import draw_confusion, write_confusion


def test_writes_the_counts_and_a_picture(tmp_path):
    counts = np.array([[3, 1, 2], [0, 0, 0], [4, 0, 0]])
    figure = write_confusion(counts, ('cat', 'dog'), tmp_path / 'run')
    table = json.loads((tmp_path / 'run/confusion_matrix.json').read_text())
    assert table['true'][:2] == table['found'][:2] == ['cat', 'dog']
    assert table['counts'] == counts.tolist()
    assert min(Image.open(figure).size) > 200


@pytest.mark.parametrize(('classes', 'numbered'), [(3, True), (80, False)])
def test_shades_are_shares_of_a_row_and_few_classes_carry_numbers(classes, numbered):
    counts = np.eye(classes + 1, dtype=int)
    counts[0, 1] = 3
    names = [str(i) for i in range(classes + 1)]
    (axes,) = draw_confusion(counts, names, names).axes
    shares = np.asarray(axes.images[0].get_array())
    assert shares[0, :2].tolist() == [0.25, 0.75]
    assert [text.get_text() for text in axes.texts] == (['1', '3', *['1'] * classes] if numbered else [])
