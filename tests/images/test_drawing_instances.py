"""Instances and segments are drawn where they are, and their names stay in the picture."""

import numpy as np
import pytest

from denseformer.images.drawing import draw_instances, tinted

RED, BLUE = (250, 0, 0), (0, 0, 250)


@pytest.fixture
def gray():
    return np.full((120, 160, 3), 100, np.uint8)


def test_a_box_is_outlined_and_its_mask_is_tinted(gray):
    mask = np.zeros((120, 160), bool)
    mask[60:80, 40:70] = True
    drawn = np.asarray(draw_instances(gray, np.array([[40, 60, 70, 80.0]]), ['star'], [RED], [mask]))
    assert (drawn[60, 50:60] == RED).all()
    assert (drawn[65:75, 45:65] == (175, 50, 50)).all()
    assert (drawn[90:, :] == 100).all()
    assert (gray == 100).all()


@pytest.mark.parametrize('box', [(150, 50, 158, 60), (2, 0, 20, 119), (-20, -10, 10, 10), (0, 118, 8, 130)])
def test_a_name_is_whole_wherever_its_box_is(gray, box):
    def label(box):
        drawn = np.asarray(draw_instances(gray, np.array([box], float), ['a long name'], [BLUE], None))
        return (drawn.sum(2) > 600).sum()  # its white letters

    assert label(box) == label((40, 60, 70, 80)) > 0


def test_boxes_without_extent_are_drawn(gray):
    drawn = draw_instances(gray, np.array([[10, 10, 10, 10], [20, 20, 15, 5.0]]), ['a', 'b'], [RED, BLUE], None)
    assert (np.asarray(drawn) != np.asarray(gray)).any()


def test_segments_are_tinted_and_nothing_is_left_as_it_is(gray):
    panoptic = np.zeros((120, 160), np.int32)
    panoptic[:50, :80], panoptic[:50, 80:] = 1, 2
    drawn = tinted(gray, panoptic, [RED, BLUE])
    assert (drawn[:49, :79] == (175, 50, 50)).all()
    assert (drawn[:49, 80:] == (50, 50, 175)).all()
    assert (drawn[:49, 79] == 255).all()
    assert (drawn[50:] == 100).all()
