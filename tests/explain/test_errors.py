"""Kinds of error are told apart."""

import numpy as np
import pytest

from denseformer.explain import errors


def test_each_kind_of_error_of_objects_is_told_from_the_others():
    overlaps = np.array(
        [
            # true: a, b, a (ignored), b (missed), a
            [0.9, 0.0, 0.0, 0.0, 0.0],  # right
            [0.7, 0.0, 0.0, 0.0, 0.0],  # found twice
            [0.0, 0.6, 0.0, 0.0, 0.0],  # wrong class
            [0.0, 0.0, 0.8, 0.0, 0.0],  # on an ignored object
            [0.0, 0.0, 0.0, 0.0, 0.3],  # wrong place
            [0.0, 0.0, 0.0, 0.05, 0.0],  # extra
        ]
    )
    true, ignored = np.array([0, 1, 0, 1, 0]), np.array([False, False, True, False, False])
    kinds, missed = errors.kinds_of_error(overlaps, np.array([0, 0, 0, 0, 0, 1]), true, ignored)
    assert [errors.KINDS[kind] for kind in kinds] == [
        'right',
        'twice',
        'wrong class',
        'ignored',
        'wrong place',
        'extra',
    ]
    assert missed.tolist() == [False, False, False, True, False]


def test_an_image_without_truth_has_extra_objects_only():
    kinds, missed = errors.kinds_of_error(np.zeros((2, 0)), np.array([0, 1]), np.zeros(0, int), np.zeros(0, bool))
    assert kinds.tolist() == [errors.EXTRA] * 2
    assert not len(missed)
    kinds, missed = errors.kinds_of_error(np.zeros((0, 2)), np.zeros(0, int), np.array([0, 1]), np.array([False, True]))
    assert missed.tolist() == [True, False]


def test_boundaries_are_bands_along_changes_of_class():
    labels = np.zeros((40, 40), np.uint8)
    labels[:, 20:] = 1
    band = errors.boundary_band(labels)
    assert band[:, 19:21].all()
    assert not band[:, :18].any()
    assert not errors.boundary_band(np.ones((8, 8), np.uint8)).any()


def test_maps_of_decibels_show_where_the_error_is():
    target = np.full((32, 32, 3), 0.5, np.float32)
    restored = target.copy()
    restored[8:16, 8:16] += 0.1
    level = errors.error_map(restored, target)
    assert level[12, 12] == pytest.approx(20, abs=0.01)
    assert level[28, 28] == pytest.approx(60)


def test_errors_in_detail_are_told_from_those_in_flat_parts():
    target = np.full((64, 64, 1), 0.2)
    target[:, 32:] = 0.8
    blurred = target.copy()
    blurred[:, 31:33] = 0.5
    detail, flat = errors.detail_and_flat(blurred, target)
    assert detail < 30
    assert flat > 60 or np.isnan(flat)
