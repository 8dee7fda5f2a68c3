"""Slices of volumes as samples, ACDC's patients, and ISIC's masks."""

import nibabel
import numpy as np
import pytest
from PIL import Image

from denseformer.datasets import (
    ACDCDataset,
    ISICDataset,
    LoadImageSlice,
    LoadLabelSlice,
    LoadSegmentation,
    VolumeDataset,
)


def write(path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.5, 1.5, 10.0, 1.0])), path)


@pytest.fixture
def hearts(tmp_path):
    """Two frames of three patients, one of each part of the data, with the film that lies beside them."""
    rng = np.random.default_rng(0)
    for patient in (1, 2, 89):
        stem = tmp_path / f'patient{patient:03d}/patient{patient:03d}'
        write(stem.with_name(f'{stem.name}_4d.nii.gz'), np.zeros((6, 5, 3, 2), np.int16))
        for frame in (1, 12):
            write(stem.with_name(f'{stem.name}_frame{frame:02d}.nii.gz'), rng.integers(0, 700, (6, 5, 3), np.int16))
            labels = rng.integers(0, 4, (6, 5, 3), np.int16)
            write(stem.with_name(f'{stem.name}_frame{frame:02d}_gt.nii.gz'), labels)
    return tmp_path


def loading(window=None) -> list:
    return [LoadImageSlice(window=window), LoadLabelSlice(num_classes=4)]


@pytest.mark.parametrize(('split', 'patient'), [('train', 'patient001'), ('test', 'patient002'), ('val', 'patient089')])
def test_each_part_of_acdc_has_its_patients_slice_by_slice(hearts, split, patient):
    dataset = ACDCDataset(split=split, data_root=str(hearts), pipeline=[])
    assert len(dataset) == 2 * 3
    assert all(f'/{patient}/' in dataset[i]['img_path'] for i in range(6))
    assert [dataset[i]['slice'] for i in range(3)] == [0, 1, 2]
    assert dataset[0]['spacing'] == pytest.approx((10.0, 1.5, 1.5))


def test_parts_of_acdc_have_the_published_sizes():
    parts = [ACDCDataset.split_of(f'x/patient{i:03d}_frame01.nii.gz') for i in range(1, 101)]
    assert [parts.count(split) for split in ('train', 'val', 'test')] == [70, 10, 20]
    with pytest.raises(ValueError, match="not 'hard'"):
        ACDCDataset(split='hard')


def test_slices_and_labels_are_those_of_the_volume(hearts):
    dataset = ACDCDataset(split='train', data_root=str(hearts), pipeline=loading((0, 510)))
    sample = dataset[4]
    path = hearts / 'patient001/patient001_frame12.nii.gz'
    values = np.asarray(nibabel.load(path).dataobj)[..., 1].T
    labels = np.asarray(nibabel.load(str(path).replace('.nii', '_gt.nii')).dataobj)[..., 1].T
    assert sample['img'].shape == (5, 6, 3)
    assert np.array_equal(sample['img'][..., 0], np.round(np.clip(values, 0, 510) / 2).astype(np.uint8))
    assert np.array_equal(sample['gt_seg_map'], labels)


def test_a_volume_without_a_window_has_its_whole_range(hearts):
    dataset = ACDCDataset(split='train', data_root=str(hearts), pipeline=loading())
    volume = np.stack([dataset[i]['img'] for i in range(3)])
    assert (volume.min(), volume.max()) == (0, 255)


def test_labels_beyond_the_classes_and_fractions_are_refused(hearts):
    dataset = ACDCDataset(split='train', data_root=str(hearts), pipeline=[])
    with pytest.raises(ValueError, match='legal are 0 to 1'):
        LoadLabelSlice(num_classes=2)({**dataset[0], 'ori_shape': (5, 6)})
    write(hearts / 'half.nii.gz', np.full((6, 5, 3), 0.5, np.float32))
    with pytest.raises(ValueError, match='fractions'):
        LoadLabelSlice(num_classes=2)({'seg_map_path': str(hearts / 'half.nii.gz'), 'slice': 0, 'slices': 3})


def test_labels_of_another_number_of_slices_are_refused(hearts):
    dataset = ACDCDataset(split='train', data_root=str(hearts), pipeline=loading())
    write(hearts / 'patient001/patient001_frame01_gt.nii.gz', np.zeros((6, 5, 4), np.int16))
    with pytest.raises(ValueError, match=r'frame01_gt\.nii\.gz. have 4 slices, their volume .*frame01\.nii\.gz. 3'):
        dataset[0]


def test_a_part_without_patients_is_named(hearts):
    for volume in (hearts / 'patient002').iterdir():
        volume.unlink()
    with pytest.raises(ValueError, match=rf"ACDCDataset has no image of '{hearts}"):
        ACDCDataset(split='test', data_root=str(hearts), pipeline=[])


def test_any_folder_of_volumes_is_a_dataset(tmp_path):
    for name in ('images/a', 'images/b', 'labels/a', 'labels/b'):
        write(tmp_path / f'{name}.nii.gz', np.zeros((4, 4, 2), np.uint8))
    folders = dict(img_path='images', seg_map_path='labels')
    dataset = VolumeDataset(
        data_root=str(tmp_path), data_prefix=folders, metainfo=dict(classes=('nothing', 'tumor')), pipeline=loading()
    )
    assert len(dataset) == 4
    assert dataset[3]['seg_map_path'].endswith('labels/b.nii.gz')
    assert dataset[3]['gt_seg_map'].shape == (4, 4)


def test_isic_is_read_as_published_and_divided_by_name(tmp_path):
    folders = dict(img_path='images', seg_map_path='masks')
    for name in folders.values():
        (tmp_path / name).mkdir()
    for i in range(5):
        Image.new('RGB', (6, 4)).save(tmp_path / f'images/ISIC_{i:07d}.jpg')
        mask = np.zeros((4, 6), np.uint8)
        mask[:, i] = 255
        Image.fromarray(mask).save(tmp_path / f'masks/ISIC_{i:07d}_segmentation.png')
    load = [LoadSegmentation(num_classes=2)]
    parts = [ISICDataset(data_root=str(tmp_path), data_prefix=folders, pipeline=load, indices=i) for i in (2, [2], -2)]
    assert [len(part) for part in parts] == [2, 1, 2]
    lesions = [int(sample['gt_seg_map'][0].argmax()) for part in parts for sample in part]
    assert lesions == [0, 1, 2, 3, 4]
