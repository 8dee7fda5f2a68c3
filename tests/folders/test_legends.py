"""Names and colors of classes from the files that lie beside masks."""

import pytest

from denseformer.folders.legends import parse, read_legend
from denseformer.folders.listing import Listing, split_of, words
from tests.support.formats import write


@pytest.mark.parametrize(
    ('text', 'names', 'colors'),
    [
        ('road\nstreet lamp\n', {0: 'road', 1: 'street lamp'}, {}),
        ('name,r,g,b\nroad,128,64,128\nsky,0,0,9\n', {}, {(128, 64, 128): 'road', (0, 0, 9): 'sky'}),
        ('64 128 64\tAnimal\n192 0 128\tArchway\n', {}, {(64, 128, 64): 'Animal', (192, 0, 128): 'Archway'}),
        ('Pixel Value, Class\n0, background\n1, cell\n', {0: 'background', 1: 'cell'}, {}),
        ('# label:color_rgb:parts:actions\nwall:10,20,30::\n', {}, {(10, 20, 30): 'wall'}),
        ('0: unlabeled\n1: person\n', {0: 'unlabeled', 1: 'person'}, {}),
    ],
    ids=['names', 'class_dict', 'camvid', 'roboflow', 'cvat', 'numbered'],
)
def test_legends_are_read_as_they_are_written(text, names, colors):
    legend = parse('classes.txt', text)
    assert (legend.names, legend.colors) == (names, colors)


def test_the_first_file_that_lists_classes_counts(tmp_path):
    write(tmp_path / 'README.txt', 'a\nb\n')
    write(tmp_path / 'label_colors.txt', '1 2 3 x\n')
    assert read_legend(Listing(tmp_path)).file == 'label_colors.txt'


def test_words_and_splits_of_names():
    assert words('SegmentationClass') == ['segmentation', 'class']
    assert words('trainannot') == ['train', 'annot']
    assert [
        split_of(name) for name in ('a/train2017/x.jpg', 'valid/x.png', 'instances_val2017.json', 'trainval.json')
    ] == [*('train', 'val', 'val', '')]
