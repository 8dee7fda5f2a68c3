"""Images unlike the others of their set are named, whatever the set looks like as a whole."""

import cv2
import numpy as np
import pytest

from denseformer.inspection.outliers import gray_of, look, outliers


def picture(seed: int, low: int = 40, high: int = 220) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(low, high, (12, 16, 3), np.uint8)
    return cv2.resize(coarse, (128, 96), interpolation=cv2.INTER_NEAREST)


def found(images) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for name, kind, _ in outliers({str(i): look(gray_of(image)) for i, image in enumerate(images)}):
        kinds.setdefault(name, []).append(kind)
    return kinds


def test_blurred_dark_and_bright_images_are_named():
    images = [picture(seed) for seed in range(20)]
    assert found(images) == {}
    images[4] = cv2.GaussianBlur(images[4], (0, 0), 5)
    images[9] //= 16
    images[13] = 255 - images[13] // 16
    assert found(images) == {'4': ['blur'], '9': ['exposure'], '13': ['exposure']}


@pytest.mark.parametrize('low', [1, 170])
def test_a_set_that_is_dark_or_bright_as_a_whole_has_no_outliers(low):
    assert found([picture(seed, low, low + 40) for seed in range(20)]) == {}


def test_a_few_images_have_no_usual_look():
    assert found([picture(0), picture(1) // 16]) == {}


def test_other_types_and_channels_look_the_same():
    image = picture(3)
    for other in (
        image.astype(np.uint16) * 257,
        image.astype(np.float32) / 255,
        cv2.cvtColor(image, cv2.COLOR_BGR2GRAY),
    ):
        assert look(gray_of(other)) == pytest.approx(look(gray_of(image)), abs=3)
    assert np.isnan(look(np.full((8, 8), 9, np.uint8)).sharpness)
