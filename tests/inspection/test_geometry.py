"""Labels that a tool or a hand spoiled show by their shapes; sound ones do not."""

import cv2
import numpy as np
import pytest

from denseformer.inspection.geometry import count_specks, object_hints, strips_of


def disks() -> np.ndarray:
    """Two objects (2, 64, 96), the second of which is cut off by the first."""
    masks = np.zeros((2, 64, 96), np.uint8)
    cv2.circle(masks[0], (40, 30), 16, 1, -1)
    cv2.circle(masks[1], (55, 30), 16, 1, -1)
    masks[1][masks[0] > 0] = 0
    return masks


def boxes_of(masks) -> np.ndarray:
    rows = [cv2.boundingRect(mask) for mask in masks]
    return np.array([[x, y, x + width, y + height] for x, y, width, height in rows], float)


def hints(masks, boxes=None) -> list[str]:
    return [*object_hints(masks, boxes_of(masks) if boxes is None else boxes, ['fig', 'date'])]


def test_sound_objects_raise_no_doubt():
    assert not hints(disks())
    assert not hints(disks(), boxes_of(disks()) + 2)


def spoiled(row: slice, column: slice, value: int) -> np.ndarray:
    masks = disks()
    masks[0][row, column] = value
    return masks


@pytest.mark.parametrize(
    ('masks', 'words'),
    [
        (spoiled(slice(5, 7), slice(5, 7), 1), "'fig' at 5, 5: has 1 parts of at most 9 pixels"),
        (spoiled(slice(28, 31), slice(30, 33), 0), "'fig' at 24, 14: has 1 holes of at most 9 pixels"),
    ],
)
def test_stray_parts_and_holes_are_named(masks, words):
    assert hints(masks) == [words]


def test_parts_that_another_object_or_the_border_cuts_off_are_none_of_the_annotators():
    masks = disks()
    masks[1] = 0
    masks[1][28:32, 60:80] = 1
    masks[1][29, 22:24] = 1  # looks out behind the first disk
    masks[1][0:2, 70:72] = 1
    assert not hints(masks)


def test_slivers_are_named():
    masks = disks()
    masks[1] = 0
    cv2.line(masks[1], (5, 60), (80, 58), 1, 1)
    assert hints(masks) == ["'date' at 5, 58: is a sliver, nowhere wider than two pixels"]


def test_boxes_that_do_not_fit_their_masks_are_named():
    boxes = boxes_of(disks())
    boxes[1] += 20
    (hint,) = hints(disks(), boxes)
    assert "'date' at 48, 14" in hint
    assert 'does not fit its mask' in hint


def test_specks_in_label_maps_are_counted_and_thin_shapes_are_not():
    labels = np.full((64, 96), 3, np.uint8)
    labels[:, 48:] = 1
    labels[10:60, 20] = 2  # a pole
    assert (count_specks(labels), strips_of(labels)) == (0, 0)
    for y, x in ((5, 5), (20, 70), (40, 80)):
        labels[y : y + 2, x : x + 3] = 255
    assert count_specks(labels) == 3


def test_maps_that_were_interpolated_are_known_by_their_strips():
    labels = np.zeros((48, 72), np.uint8)
    cv2.circle(labels, (30, 24), 15, 10, -1)
    assert strips_of(cv2.resize(labels, (96, 64), interpolation=cv2.INTER_NEAREST)) == 0
    assert strips_of(cv2.resize(labels, (96, 64))) > 30
