"""The split of a folder that has none."""

import shutil

import cv2
import numpy as np

from denseformer.folders import Found, Listing, Sample, Thing, understand
from denseformer.folders.splitting import COMPARED, choose, copies, with_splits
from tests.support import formats


def found_of(names_by_image):
    samples = tuple(
        Sample(image, things=tuple(Thing(name, (0, 0, 5, 5)) for name in names))
        for image, names in names_by_image.items()
    )
    return Found('test', 'detection', samples)


def test_each_class_is_held_out_by_its_share_and_none_is_lost_to_training():
    rng = np.random.default_rng(0)
    found = found_of({f'{i}.png': ['common', *(['rare'] if rng.random() < 0.05 else [])] for i in range(200)})
    held_out = choose([[s] for s in found.samples], found, 0.2)
    rare = {s.image for s in found.samples if len(s.things) == 2}
    assert len(held_out) == 40
    assert len(rare & held_out) == round(0.2 * len(rare))
    assert choose([[s] for s in reversed(found.samples)], found, 0.2) == held_out


def test_a_class_of_one_image_is_trained_on():
    found = found_of({'0.png': ['once'], **{f'{i}.png': ['often'] for i in range(1, 10)}})
    assert '0.png' not in choose([[s] for s in found.samples], found, 0.2)


def test_copies_of_training_images_in_the_validation_split_are_noted(tmp_path):
    root = formats.yolo(tmp_path)
    assert not any('copies' in note for note in understand(str(root))[0].notes)
    for folder, suffix in (('images', '.jpg'), ('labels', '.txt')):
        shutil.copy(root / 'train' / folder / f'scene0{suffix}', root / 'valid' / folder / f'again{suffix}')
    notes = understand(str(root))[0].notes
    assert any('1 of 3 validation images looked at are copies' in note and 'scene0.jpg' in note for note in notes)


def test_files_of_one_size_that_differ_in_their_middle_are_no_copies(tmp_path):
    content = np.zeros((3, COMPARED), np.uint8)
    for place, middle in (('train/0.ppm', 0), ('val/1.ppm', 1), ('val/2.ppm', 0)):
        content[1] = middle
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(content.tobytes())
    samples = [Sample(name, name.split('/')[0]) for name in ('train/0.ppm', 'val/1.ppm', 'val/2.ppm')]
    (note,) = copies(samples, Listing(tmp_path))
    assert note.startswith('1 of 2 ')
    assert '(val/2.ppm = train/0.ppm)' in note


def test_near_duplicates_stay_on_one_side(tmp_path):
    for i, scene in enumerate(formats.scenes()):
        formats.write_image(tmp_path / f'{i}.png', scene.image)
        brighter = np.clip(scene.image.astype(int) + 12, 0, 255).astype(np.uint8)
        formats.write_image(tmp_path / f'{i}_again.jpg', cv2.resize(brighter, (56, 56), interpolation=cv2.INTER_AREA))
    listing = Listing(tmp_path)
    found = with_splits(Found('test', 'super-resolution', tuple(map(Sample, listing.images))), listing)
    sides = {sample.image: sample.split for sample in found.samples}
    assert set(sides.values()) == {'train', 'val'}
    assert all(sides[f'{i}.png'] == sides[f'{i}_again.jpg'] for i in range(formats.COUNT))


def test_a_split_of_the_folder_is_kept_and_test_images_are_not_held_out(tmp_path):
    for i, scene in enumerate(formats.scenes()):
        formats.write_image(tmp_path / ('train' if i < 4 else 'test') / f'{i}.png', scene.image)
    listing = Listing(tmp_path)
    samples = tuple(Sample(name, name.split('/')[0]) for name in listing.images)
    found = with_splits(Found('test', 'super-resolution', samples), listing)
    assert {s.image for s in found.of('test')} == {'test/4.png', 'test/5.png'}
    assert (len(found.of('train')), len(found.of('val'))) == (3, 1)
