"""Masks are moved by their runs, and what several tiles see becomes one instance."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as rle

from denseformer.detection.instances import Instances, View, encoded, merge_views, placed

masks = arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 1))


@given(masks, st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_a_mask_is_placed_where_its_window_lies(mask, left, top, right, bottom):
    whole = np.pad(mask, ((top, bottom), (left, right)))
    assert placed(encoded(mask), left, top, whole.shape) == encoded(whole)


def tile_of(seen, *found, masks=None) -> View:
    """found: box, score and label of each instance."""
    boxes, scores, labels = zip(*found, strict=True) if found else ((), (), ())
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return View(np.array(seen), Instances(boxes, np.array(scores), np.array(labels, int), masks))


def listed(found: Instances) -> list[tuple]:
    return [
        (*box, score, label)
        for box, score, label in zip(found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
    ]


@pytest.mark.parametrize('scores', [(0.9, 0.8, 0.7), (0.9, 0.7, 0.8), (0.7, 0.9, 0.8), (0.8, 0.7, 0.9)])
def test_an_instance_across_three_tiles_is_one_whichever_sees_it_best(scores):
    spans = [(0, 100), (80, 180), (160, 260)]
    tiles = [
        tile_of((a, 0, b, 100), ((max(a, 30), 20, min(b, 240), 60), score, 0))
        for (a, b), score in zip(spans, scores, strict=True)
    ]
    assert listed(merge_views(tiles)) == [(30, 20, 240, 60, 0.9, 0)]


def test_neighbors_in_one_window_stay_two():
    left, right = ((60, 20, 90, 60), 0.9, 0), ((88, 20, 120, 60), 0.8, 0)
    seen_by_both = [tile_of((0, 0, 120, 100), left, right), tile_of((50, 0, 200, 100), left, right)]
    assert listed(merge_views(seen_by_both)) == [(*left[0], 0.9, 0), (*right[0], 0.8, 0)]


def test_the_rest_of_a_cut_instance_is_a_guess_and_joins_the_whole_one():
    whole, rest = ((20, 20, 106, 60), 0.8, 0), ((90, 24, 114, 40), 0.9, 0)
    found = merge_views([tile_of((0, 0, 120, 100), whole), tile_of((90, 0, 210, 100), rest)])
    assert listed(found) == [(20, 20, 106, 60, 0.9, 0)]
    small = ((96, 24, 114, 40), 0.9, 0)  # no border is near
    assert len(merge_views([tile_of((0, 0, 120, 100), whole), tile_of((90, 0, 210, 100), small)])) == 2


def test_an_instance_joins_the_neighbor_that_it_agrees_with_most():
    better, mine = ((40, 20, 82, 60), 0.9, 0), ((60, 20, 100, 60), 0.6, 0)
    again = ((60, 21, 100, 60), 0.5, 0)
    found = merge_views([tile_of((0, 0, 120, 100), better, mine), tile_of((60, 0, 200, 100), again)])
    assert listed(found) == [(*better[0], 0.9, 0), (60, 20, 100, 60, 0.6, 0)]


def test_what_one_of_two_tiles_saw_alone_counts_half():
    both, alone, outside = ((62, 20, 78, 60), 0.9, 0), ((64, 70, 80, 90), 0.8, 0), ((10, 20, 30, 60), 0.7, 0)
    left = tile_of((0, 0, 100, 100), both, alone, outside)
    right = tile_of((50, 0, 150, 100), both)
    assert listed(merge_views([left, right])) == [(*both[0], 0.9, 0), (*outside[0], 0.7, 0), (*alone[0], 0.4, 0)]


def test_a_whole_instance_absorbs_the_parts_that_a_border_cuts():
    whole = ((60, 20, 120, 60), 0.8, 0)
    parts = [((66, 22, 100, 58), 0.9, 0), ((70, 40, 99, 60), 0.6, 0)]
    other_class = ((66, 22, 100, 58), 0.9, 1)
    found = merge_views([tile_of((0, 0, 100, 100), *parts, other_class), tile_of((50, 0, 150, 100), whole)])
    assert listed(found) == [(60, 20, 120, 60, 0.9, 0), (66, 22, 100, 58, 0.45, 1)]


def test_a_merged_instance_has_the_mean_box_of_its_whole_members_weighted_by_score():
    better, worse = ((62, 20, 78, 60), 0.75, 0), ((60, 16, 82, 64), 0.25, 0)
    part = ((70, 20, 80, 60), 0.5, 0)  # cut on its left
    tiles = [tile_of((0, 0, 100, 100), worse), tile_of((50, 0, 150, 100), better), tile_of((69, 0, 150, 100), part)]
    found = merge_views(tiles)
    assert found.scores.tolist() == [0.75]
    assert found.boxes[0] == pytest.approx([61.5, 19, 79, 61], abs=1e-3)


def test_classes_are_kept_apart():
    tiles = [
        tile_of((0, 0, 100, 100), ((60, 20, 90, 60), 0.9, 0)),
        tile_of((50, 0, 150, 100), ((60, 20, 90, 60), 0.8, 1)),
    ]
    assert len(merge_views(tiles)) == 2


def test_masks_are_joined():
    whole = np.zeros((50, 150), bool)
    whole[10:20, 30:120] = True
    parts = [
        encoded(np.where(np.arange(150) < 90, whole, False)),
        encoded(np.where(np.arange(150) >= 60, whole, False)),
    ]
    tiles = [
        tile_of((0, 0, 90, 50), ((30, 10, 90, 20), 0.9, 0), masks=parts[:1]),
        tile_of((60, 0, 150, 50), ((60, 10, 120, 20), 0.8, 0), masks=parts[1:]),
    ]
    (mask,) = merge_views(tiles).masks
    assert np.array_equal(rle.decode(mask).astype(bool), whole)


def test_tiles_without_instances():
    assert listed(merge_views([tile_of((0, 0, 50, 50)), tile_of((30, 0, 80, 50), masks=[])])) == []


def test_an_instance_of_two_tiles_is_like_its_best_view():
    tiles = [
        tile_of((0, 0, 100, 100), ((30, 20, 100, 60), 0.6, 0)),
        tile_of((80, 0, 180, 100), ((80, 20, 150, 60), 0.8, 0)),
    ]
    views = [
        View(tile.seen, replace(tile.found, attributes=np.array([row], np.float32)))
        for tile, row in zip(tiles, ([0.1, 0.2], [0.7, 0.9]), strict=True)
    ]
    found = merge_views(views)
    assert found.attributes.tolist() == pytest.approx(np.array([[0.7, 0.9]]))
    assert merge_views([views[0], tiles[1]]).attributes is None
