"""Near-duplicates by fingerprints."""

import cv2
import numpy as np

from denseformer.images.similarity import are_near, fingerprint, near_groups, near_pairs
from tests.support.formats import scenes


def changed(image):
    """The image at another size, brightness and compression, without colors."""
    small = cv2.resize(image, None, fx=0.8, fy=0.7, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(
        '.jpg', np.clip(small.astype(float) * 1.1 + 5, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 60]
    )
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)


def test_copies_are_near_and_other_pictures_are_not():
    pictures = [scene.image for scene in scenes()]
    marks = [fingerprint(image) for image in pictures]
    assert all(are_near(mark, fingerprint(changed(image))) for mark, image in zip(marks, pictures, strict=True))
    assert not any(are_near(a, b) for i, a in enumerate(marks) for b in marks[:i])


def test_groups_are_found_among_all():
    prints = {}
    for i, scene in enumerate(scenes()):
        prints[f'{i}'], prints[f'{i} again'] = fingerprint(scene.image), fingerprint(changed(scene.image))
    assert list(near_pairs(prints)) == [(f'{i}', f'{i} again') for i in range(len(scenes()))]
    assert near_groups(prints) == [[f'{i}', f'{i} again'] for i in range(len(scenes()))]


def test_plain_images_are_not_taken_for_copies_of_each_other():
    assert not are_near(fingerprint(np.zeros((9, 9), np.uint8)), fingerprint(np.full((9, 9), 200, np.uint8)))
