"""The doctor finds each disease that it was given, and nothing in a healthy set."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from denseformer.cli import main
from denseformer.datasets.restoration.lmdb_store import write_store
from denseformer.engine import load_config
from denseformer.inspection import doctor
from denseformer.inspection.coco_check import check_annotations

CONFIG = 'configs/upernet_dinat_mini_camvid.py'


@pytest.fixture
def folders(tmp_path):
    drawn = np.random.default_rng(0)
    root = tmp_path / 'data'
    for split in ('train', 'val'):
        for folder in ('img_dir', 'ann_dir'):
            (root / folder / split).mkdir(parents=True)
        for name in ('a', 'b'):
            cv2.imwrite(str(root / f'img_dir/{split}/{name}.jpg'), drawn.integers(0, 255, (16, 24, 3), np.uint8))
            labels = np.tile(np.arange(24, dtype=np.uint8) * 11 // 24, (16, 1))
            cv2.imwrite(str(root / f'ann_dir/{split}/{name}.png'), labels)
    return root


def examine(root, **options):
    return doctor.examine(load_config(CONFIG, {'data_root': str(root)}), **options)


def problems(root, split='train'):
    return [(problem.kind, problem.message) for problem in examine(root)[split].problems]


def halve(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_a_healthy_set_is_counted(folders):
    reports = examine(folders)
    assert [report.samples for report in reports.values()] == [2, 2]
    assert doctor.count_errors(reports) == 0
    assert [report.problems for report in reports.values()] == [[], []]
    rows = reports['train'].classes
    assert len(rows) == 11
    assert sum(row['pixels'] for row in rows.values()) == 2 * 16 * 24
    assert all(row['images'] == 2 for row in rows.values())


@pytest.mark.parametrize(
    ('spoil', 'words'),
    [
        (lambda root: (root / 'img_dir/train/a.jpg').write_bytes(b''), 'is empty'),
        (lambda root: (root / 'img_dir/train/a.jpg').write_bytes(b'\xff\xd8\xff\xe0 no image'), 'cannot be decoded'),
        (lambda root: halve(root / 'img_dir/train/a.jpg'), 'cannot be decoded'),
        (lambda root: cv2.imwrite(str(root / 'ann_dir/train/a.png'), np.zeros((8, 8), np.uint8)), 'is 8 x 8'),
        (lambda root: cv2.imwrite(str(root / 'ann_dir/train/a.png'), np.full((16, 24), 77, np.uint8)), 'has labels 77'),
        (lambda root: cv2.imwrite(str(root / 'ann_dir/train/a.png'), np.zeros((16, 24, 3), np.uint8)), '3 channels'),
    ],
    ids=['empty', 'broken', 'truncated', 'size', 'range', 'color'],
)
def test_each_disease_is_found_and_hides_no_other_sample(folders, spoil, words):
    spoil(folders)
    found = problems(folders)
    assert [kind for kind, _ in found] == ['file']
    assert words in found[0][1]
    assert examine(folders)['train'].examined == 2


def test_a_link_out_of_the_folder_is_found(folders, tmp_path):
    shutil.move(folders / 'img_dir/train/a.jpg', tmp_path / 'a.jpg')
    (folders / 'img_dir/train/a.jpg').symlink_to(tmp_path / 'a.jpg')
    assert [kind for kind, _ in problems(folders)] == ['path']


def test_an_image_in_two_splits_is_a_warning(folders):
    shutil.copy(folders / 'img_dir/train/a.jpg', folders / 'img_dir/val/b.jpg')
    reports = examine(folders)
    assert [problem.kind for problem in reports['val'].problems] == ['duplicate']
    assert doctor.count_errors(reports) == 0


def test_an_image_that_looks_like_one_of_another_split_is_a_warning(folders):
    picture = cv2.resize(
        np.random.default_rng(3).integers(0, 255, (4, 6, 3), np.uint8), (24, 16), interpolation=cv2.INTER_CUBIC
    )
    cv2.imwrite(str(folders / 'img_dir/train/a.jpg'), picture)
    cv2.imwrite(str(folders / 'img_dir/val/b.jpg'), np.clip(picture.astype(int) + 9, 0, 255).astype(np.uint8))
    reports = examine(folders)
    assert [(problem.kind, problem.file[-9:]) for problem in reports['val'].problems] == [
        ('near-duplicate', 'val/b.jpg')
    ]
    assert 'img_dir/train/a.jpg of train' in reports['val'].problems[0].message
    assert doctor.count_errors(reports) == 0


def test_blurred_dark_and_interpolated_files_are_warnings(folders):
    drawn = np.random.default_rng(1)
    labels = np.zeros((64, 96), np.uint8)
    cv2.circle(labels, (30, 30), 20, 10, -1)
    small = cv2.resize(labels, (72, 48))  # interpolated by mistake
    for number in range(10):
        image = cv2.resize(drawn.integers(0, 255, (16, 24, 3), np.uint8), (96, 64), interpolation=cv2.INTER_NEAREST)
        image = {3: cv2.GaussianBlur(image, (0, 0), 6), 5: image // 12}.get(number, image)
        cv2.imwrite(str(folders / f'img_dir/train/n{number}.png'), image)
        cv2.imwrite(
            str(folders / f'ann_dir/train/n{number}.png'), cv2.resize(small, (96, 64)) if number == 7 else labels
        )
    config = load_config(CONFIG, {'data_root': str(folders), 'train_dataloader.dataset.img_suffix': '.png'})
    reports = doctor.examine(config)
    found = {
        (problem.kind, Path(problem.file).name) for problem in reports['train'].problems if problem.kind != 'class'
    }
    assert found == {('blur', 'n3.png'), ('exposure', 'n5.png'), ('label', 'n7.png')}
    assert doctor.count_errors(reports) == 0


@pytest.mark.parametrize('name', ['upernet_dinat_nano_sample.py', 'mask_rcnn_dinat_nano_sample.py'])
def test_nothing_in_the_sample_set_looks_suspicious(name, tmp_path):
    numbers = {f'{split}_dataloader.dataset.{part}': 16 for split in ('train', 'val') for part in ('train', 'val')}
    reports = doctor.examine(load_config(f'configs/{name}', {'data_root': str(tmp_path / 'sample'), **numbers}))
    assert [report.examined for report in reports.values()] == [16, 16]
    assert not [problem for report in reports.values() for problem in report.problems]


def test_a_class_that_never_occurs_is_a_warning(folders):
    for name in ('a', 'b'):
        cv2.imwrite(str(folders / f'ann_dir/train/{name}.png'), np.zeros((16, 24), np.uint8))
    reports = examine(folders)
    (problem,) = reports['train'].problems
    assert problem.kind == 'class'
    assert doctor.count_errors(reports) == 0


def test_the_command_prints_writes_and_says_so_by_its_status(folders, tmp_path, capsys):
    arguments = ['doctor', CONFIG, '--json', str(tmp_path / 'out/report.json'), '--cfg-options', f'data_root={folders}']
    assert main(arguments) == 0
    (folders / 'ann_dir/train/a.png').write_bytes(b'nothing')
    assert main(arguments) == 1
    report = json.loads((tmp_path / 'out/report.json').read_text())
    assert report['train']['problems'][0]['file'].endswith('a.jpg')
    assert 'cannot be decoded' in capsys.readouterr().out


def test_a_dry_run_refuses_unsound_data(folders, tmp_path, capsys):
    (folders / 'ann_dir/train/a.png').write_bytes(b'nothing')
    options = ['--device', 'cpu', '--work-dir', str(tmp_path / 'run'), '--cfg-options', f'data_root={folders}']
    assert main(['train', CONFIG, '--dry-run', *options]) == 2
    assert 'its data is not sound' in capsys.readouterr().err


def test_images_in_a_data_base_are_read(tmp_path):
    pytest.importorskip('lmdb')
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((4, 4, 3), np.uint8))
    write_store({'a': tmp_path / 'a.png'}, tmp_path / 'HR.lmdb')
    load = [dict(type='denseformer.LoadImagePair')]
    images = dict(
        type='denseformer.RestorationImages', data_prefix=dict(gt_path=str(tmp_path / 'HR.lmdb')), pipeline=load
    )
    report = doctor.examine_dataset(images, None)
    assert (report.examined, report.problems, len(report.hashes)) == (1, [], 1)


def test_a_part_can_be_looked_at(folders):
    assert [report.examined for report in examine(folders, limit=1).values()] == [1, 1]


@pytest.fixture
def boxes(tmp_path):
    """Two images with a box each in Pascal VOC's format; a function that writes the second box and examines."""
    for folder in ('Annotations', 'JPEGImages', 'ImageSets/Main'):
        (tmp_path / folder).mkdir(parents=True)

    def examine_boxes(second='<xmin>5</xmin><ymin>5</ymin><xmax>9</xmax><ymax>9</ymax>', name='WBC'):
        sound = '<xmin>1</xmin><ymin>1</ymin><xmax>24</xmax><ymax>16</ymax>'
        for image, (corners, label) in {'a': (sound, 'RBC'), 'b': (second, name)}.items():
            pixels = np.random.default_rng(ord(image)).integers(0, 255, (16, 24, 3), np.uint8)
            cv2.imwrite(str(tmp_path / f'JPEGImages/{image}.jpg'), pixels)
            (tmp_path / f'Annotations/{image}.xml').write_text(
                '<annotation><size><width>24</width><height>16</height></size>'
                f'<object><name>{label}</name><bndbox>{corners}</bndbox></object></annotation>'
            )
        for split in ('train', 'val'):
            (tmp_path / f'ImageSets/Main/{split}.txt').write_text('a\nb')
        config = load_config('configs/retinanet_dinat_nano_bccd.py', {'data_root': str(tmp_path)})
        return doctor.examine(config)['train']

    return examine_boxes


def test_objects_are_counted_per_class(boxes):
    report = boxes()
    assert report.classes['RBC'] == report.classes['WBC'] == {'objects': 1, 'images': 1}
    assert [(problem.kind, problem.message) for problem in report.problems] == [
        ('class', 'nothing in this split is of class Platelets')
    ]


@pytest.mark.parametrize(
    ('second', 'words'),
    [
        ('<xmin>9</xmin><ymin>5</ymin><xmax>5</xmax><ymax>9</ymax>', 'has no area'),
        ('<xmin>5</xmin><ymin>5</ymin><xmax>50</xmax><ymax>9</ymax>', 'leaves its image of 24 x 16'),
    ],
    ids=['turned round', 'outside'],
)
def test_a_fault_of_a_voc_box_is_named(boxes, second, words):
    (problem,) = (problem for problem in boxes(second).problems if problem.kind == 'annotation')
    assert problem.file.endswith('b.xml')
    assert "an object 'WBC': its box" in problem.message
    assert words in problem.message


def test_class_names_that_do_not_match_are_an_error(boxes):
    assert any("does not name: 'wbc'" in problem.message for problem in boxes(name='wbc').problems)


@pytest.fixture
def coco(tmp_path):
    (tmp_path / 'images').mkdir()
    cv2.imwrite(str(tmp_path / 'images/a.jpg'), np.zeros((10, 20, 3), np.uint8))
    content = {
        'images': [{'id': 1, 'file_name': 'a.jpg', 'width': 20, 'height': 10}],
        'categories': [{'id': 1, 'name': 'thing'}],
        'annotations': [
            {'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [1, 1, 5, 5], 'segmentation': [[1, 1, 6, 1, 6, 6]]}
        ],
    }

    def check(**changes):
        altered = json.loads(json.dumps(content))
        for key, value in changes.items():
            row = altered['images' if key in ('file_name', 'width') else 'annotations'][0]
            row[key] = value
        (tmp_path / 'ann.json').write_text(json.dumps(altered))
        return list(check_annotations(tmp_path / 'ann.json', tmp_path / 'images'))

    return check


def test_segments_of_panoptic_annotations_are_looked_at(coco, tmp_path):
    coco()
    content = json.loads((tmp_path / 'ann.json').read_text())
    (segment,) = content['annotations']
    rows = [{**segment, 'id': 7}, {**segment, 'id': 8, 'category_id': 3}, {**segment, 'id': 9, 'bbox': [1, 1, 0, 4]}]
    content['annotations'] = [{'image_id': 1, 'file_name': 'a.png', 'segments_info': rows}]
    (tmp_path / 'ann.json').write_text(json.dumps(content))
    assert list(check_annotations(tmp_path / 'ann.json', tmp_path / 'images')) == [
        'annotation 8 is of category 3, which is not listed',
        'annotation 9: its box [1, 1, 0, 4] has no area',
    ]


def test_sound_annotations_have_no_fault(coco):
    assert coco() == []


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'bbox': [1, 1, 0, 5]}, 'has no area'),
        ({'bbox': [15, 1, 10, 5]}, 'leaves its image of 20 x 10'),
        ({'bbox': [1, 2, 3]}, 'is not four numbers'),
        ({'bbox': [1, 2, 3, None]}, 'is not four numbers'),
        ({'segmentation': [[1, 1, 2, 2]]}, 'polygon of 2 points'),
        ({'segmentation': [[1, 1, 2, 2, 3, 3]]}, 'polygon without area'),
        ({'segmentation': [[1, 1, 2, 2, 3]]}, 'no list of x and y'),
        ({'image_id': 7}, 'belongs to image 7'),
        ({'image_id': [7]}, 'which is not listed'),
        ({'category_id': 9}, 'category 9'),
        ({'file_name': '../secret.jpg'}, 'leads outside'),
        ({'file_name': '/etc/passwd'}, 'leads outside'),
        ({'file_name': 'b.jpg'}, 'there is no file'),
        ({'width': 0}, 'no width and height'),
    ],
    ids=str,
)
def test_each_fault_of_an_annotation_is_named(coco, changes, words):
    (text,) = coco(**changes)
    assert words in text


@pytest.mark.parametrize('text', ['', '[]', '{"images": 3}', '{"images": [3], "annotations": []}', '[' * 100_000])
def test_what_is_no_annotation_file_is_named(tmp_path, text):
    (tmp_path / 'ann.json').write_text(text)
    (found,) = check_annotations(tmp_path / 'ann.json', tmp_path)
    assert 'is no' in found
