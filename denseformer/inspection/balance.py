"""Proposals for classes of few pixels, objects or images, from what was counted in the training split."""

from collections.abc import Iterator, Mapping
from math import sqrt
from statistics import median

UNEVEN = 20
"""Times the pixels of the rarest class that the most frequent one has, from which losses should differ."""
RARE = 0.1
"""Share of the images below which a class is repeated."""
VERY_UNEVEN = 100
"""Times the images of the rarest class that the most frequent one has, from which classes are drawn one by one."""
LEAST_WEIGHT, MOST_WEIGHT = 0.2, 5.0
Counts = Mapping[str, Mapping[str, int]]


def proposals(classes: Counts, images: int) -> list[str]:
    """Sentences with lines for a config; none where the classes are even.

    classes: class -> {'pixels' or 'objects': amount, 'images': number of images that show it}; images: all of them.
    """
    shown = {name: row for name, row in classes.items() if row['images']}
    if len(shown) < 2:
        return []
    return [*(for_pixels(classes, shown) if 'pixels' in next(iter(shown.values())) else for_objects(shown, images))]


def for_pixels(classes: Counts, shown: Counts) -> Iterator[str]:
    rarest, most = (pick(shown, key=lambda name: shown[name]['pixels']) for pick in (min, max))
    times = shown[most]['pixels'] / shown[rarest]['pixels']
    if times < UNEVEN:
        return
    yield (
        f"'{most}' has {times:.0f} times the pixels of '{rarest}'. A loss that counts classes alike: the base "
        'denseformer::_base_/losses/dice.py (or lovasz, tversky) and '
        "model = dict(decode_head=dict(loss_decode='${pixel_loss}'))"
    )
    if len(classes) == 2:
        yield 'One class and its background: the head denseformer::_base_/heads/parts/upernet_one_logit.py'
    else:
        yield f'Or weights: model = dict(decode_head=dict(loss_decode=dict(class_weight={weights(classes)})))'


def weights(classes: Counts) -> list[float]:
    """The square root of the median amount over a class's own, between bounds; 1 for classes that do not occur."""
    amounts = [row['pixels'] for row in classes.values()]
    middle = median(amount for amount in amounts if amount)
    return [
        round(min(max(sqrt(middle / amount), LEAST_WEIGHT), MOST_WEIGHT), 2) if amount else 1.0 for amount in amounts
    ]


def for_objects(shown: Counts, images: int) -> Iterator[str]:
    rarest, most = (pick(shown, key=lambda name: shown[name]['images']) for pick in (min, max))
    few, many = shown[rarest]['images'], shown[most]['images']
    if many >= VERY_UNEVEN * few:
        yield (
            f"'{most}' is in {many} images, '{rarest}' in {few}. Draw classes one by one: "
            "train_sampler = dict(_delete_=True, type='mmdet.ClassAwareSampler')"
        )
    elif few < RARE * images and many > 2 * few:
        yield (
            f"'{rarest}' is in {few} of {images} images. Repeat them: "
            f"train_sampler = dict(_delete_=True, type='denseformer.RepeatFactorSampler', threshold={RARE})"
        )
