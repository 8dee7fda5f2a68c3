"""Label maps are read as mmsegmentation reads them, or the file and what is wrong with it are named."""

from pathlib import Path

import numpy as np
import pytest
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from denseformer.datasets import LoadImage, LoadSegmentation

RNG = np.random.default_rng(0)
CLASSES = 5
LABELS = RNG.integers(0, CLASSES, (12, 17), dtype=np.uint8)
LABELS[0, :3] = 255


def load_image(path: Path, **options) -> dict:
    return LoadImage(**options)({'img_path': str(path)})


def load_labels(path: Path, num_classes: int = CLASSES, *, results: dict | None = None, **options) -> np.ndarray:
    loaded = LoadSegmentation(num_classes=num_classes, **options)({'seg_map_path': str(path), **(results or {})})
    assert loaded['seg_fields'] == ['gt_seg_map']
    return loaded['gt_seg_map']


def saved(path: Path, array: np.ndarray, mode: str | None = None, **options) -> Path:
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


@pytest.mark.parametrize('name', ['a.png', 'a.tif', 'a.bmp'])
def test_labels_as_they_are(tmp_path, name):
    labels = load_labels(saved(tmp_path / name, LABELS), results={'ori_shape': (12, 17)})
    assert labels.dtype == np.uint8
    assert labels.flags.writeable
    assert (labels == LABELS).all()


def test_palette_labels_are_read_as_indices(tmp_path):
    image = Image.fromarray(LABELS)
    image.putpalette(RNG.integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(tmp_path / 'a.png')
    assert (load_labels(tmp_path / 'a.png') == LABELS).all()


def test_two_color_labels_are_0_and_1(tmp_path):
    labels = load_labels(saved(tmp_path / 'a.png', (LABELS == 1) * np.uint8(255), '1'), 2)
    assert labels.dtype == np.uint8
    assert (labels == (LABELS == 1)).all()


def test_16_bit_labels_within_range(tmp_path):
    labels = load_labels(saved(tmp_path / 'a.png', LABELS.astype(np.uint16)))
    assert labels.dtype == np.uint8
    assert (labels == LABELS).all()
    many = LABELS.astype(np.uint16) * 100
    many = load_labels(saved(tmp_path / 'b.png', many), 26_000, ignore_index=65535)
    assert (many == LABELS.astype(int) * 100).all()


@pytest.mark.parametrize('reduce_zero_label', [False, True])
@pytest.mark.parametrize('label_map', [None, {0: 255, 1: 0, 2: 255, 3: 1, 4: 2}])
def test_reduced_and_mapped_labels_mean_what_they_mean_in_mmseg(tmp_path, reduce_zero_label, label_map):
    path = str(saved(tmp_path / 'a.png', LABELS))
    told = {'reduce_zero_label': reduce_zero_label, 'label_map': label_map}
    theirs = LoadAnnotations()({'seg_map_path': path, 'seg_fields': [], **told})['gt_seg_map']
    ours = load_labels(path, 3 if label_map else 5, results=told)
    assert (ours == theirs).all()
    assert load_labels(path, results={'reduce_zero_label': reduce_zero_label}).max() == 255


def test_another_ignore_index(tmp_path):
    labels = np.where(LABELS == 255, 9, LABELS).astype(np.uint8)
    told = {'reduce_zero_label': True}
    loaded = load_labels(saved(tmp_path / 'a.png', labels), 4, ignore_index=9, results=told)
    assert (loaded == np.where((labels == 0) | (labels == 9), 9, labels - 1)).all()


def test_disagreement_about_reduce_zero_label(tmp_path):
    path = saved(tmp_path / 'a.png', LABELS)
    with pytest.raises(ValueError, match='True in LoadSegmentation and False in the dataset'):
        load_labels(path, reduce_zero_label=True, results={'reduce_zero_label': False})


def test_labels_out_of_range(tmp_path):
    labels = LABELS.copy()
    labels[3, 3:5] = 11, 200
    with pytest.raises(ValueError, match=r"a\.png' has labels 11, 200; legal are 0 to 4 and 255.*num_classes=5"):
        load_labels(saved(tmp_path / 'a.png', labels))


def test_labels_that_count_from_1(tmp_path):
    labels = np.where(LABELS == 255, 255, LABELS + 1).astype(np.uint8)
    path = saved(tmp_path / 'a.png', labels)
    with pytest.raises(ValueError, match='reduce_zero_label=True'):
        load_labels(path)
    assert (load_labels(path, reduce_zero_label=True) == LABELS).all()
    labels[5, 5] = 6
    with pytest.raises(ValueError, match='has labels 6; legal are 0 to 5 and 255'):
        load_labels(saved(tmp_path / 'b.png', labels), reduce_zero_label=True)


def test_many_illegal_labels_are_counted_not_listed(tmp_path):
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    with pytest.raises(ValueError, match=r'5, 6, 7, 8, 9, 10, 11, 12, 13, 14 \.\.\. \(250 in all\)'):
        load_labels(saved(tmp_path / 'a.png', labels))


def test_16_bit_labels_out_of_range(tmp_path):
    labels = LABELS.astype(np.uint16)
    labels[3, 3] = 40_000
    with pytest.raises(ValueError, match='has labels 40000;'):
        load_labels(saved(tmp_path / 'a.png', labels))


def test_negative_labels(tmp_path):
    labels = LABELS.astype(np.int32)
    labels[3, 3] = -1
    with pytest.raises(ValueError, match='has labels -1;'):
        load_labels(saved(tmp_path / 'a.tif', labels))


def test_labels_of_another_size(tmp_path):
    path = saved(tmp_path / 'a.png', LABELS)
    with pytest.raises(ValueError, match=r"a\.png' is 12 x 17 \(H x W\), its image 'b\.jpg' 24 x 34\. .*nearest"):
        load_labels(path, results={'img_path': 'b.jpg', 'ori_shape': (24, 34)})
    with pytest.raises(ValueError, match='apply_orientation=False'):
        load_labels(path, results={'img_path': 'b.jpg', 'ori_shape': (17, 12)})


def test_labels_are_compared_with_the_image_as_it_was_read(tmp_path):
    results = {'ori_shape': (12, 17), 'img_shape': (24, 34)}
    assert load_labels(saved(tmp_path / 'a.png', LABELS), results=results).shape == (12, 17)


def test_color_mask(tmp_path):
    palette = np.array([[128, 0, 0], [0, 128, 0], [0, 0, 128], [9, 9, 9], [0, 0, 0]], np.uint8)
    mask = palette[LABELS % CLASSES]
    with pytest.raises(ValueError, match=r"a\.png' has 3 channels, shape \(12, 17, 3\), with 5 distinct colors.*color"):
        load_labels(saved(tmp_path / 'a.png', mask))
    with pytest.raises(ValueError, match='has 4 channels'):
        load_labels(saved(tmp_path / 'b.png', mask, 'RGBA'))


def test_indices_in_three_equal_channels(tmp_path):
    with pytest.raises(ValueError, match=r'channels are equal: store one of them'):
        load_labels(saved(tmp_path / 'a.png', LABELS, 'RGB'))
    with pytest.raises(ValueError, match=r'Remove the alpha channel'):
        load_labels(saved(tmp_path / 'b.png', LABELS, 'LA'))


def test_labels_with_fractions(tmp_path):
    with pytest.raises(ValueError, match=r"a\.tif' holds float32 values from 0 to 127\.5; whole numbers"):
        load_labels(saved(tmp_path / 'a.tif', LABELS.astype(np.float32) / 2))


def test_unreadable_labels(tmp_path):
    with pytest.raises(ValueError, match=r"label map '.*gone\.png' cannot be read"):
        load_labels(tmp_path / 'gone.png')
    (tmp_path / 'empty.png').touch()
    with pytest.raises(ValueError, match=r"label map '.*empty\.png' is empty"):
        load_labels(tmp_path / 'empty.png')
    path = saved(tmp_path / 'a.png', RNG.integers(0, 5, (64, 64), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"label map '.*a\.png' \(200 bytes\) cannot be decoded"):
        load_labels(path)
