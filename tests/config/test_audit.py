"""The audit finds what mmengine would train through, and names it."""

import cv2
import numpy as np
import pytest

from denseformer.config.audit import audit, check_config
from denseformer.config.loading import ConfigError, load_config

CONFIG = 'configs/upernet_dinat_ade20k.py'


def findings(overrides=None, data=False) -> list[str]:
    return [str(finding) for finding in audit(load_config(CONFIG, overrides), data=data)]


def test_a_shipped_config_has_no_findings():
    assert findings() == []


@pytest.mark.parametrize('name', ['upernet_dinat_ade20k', 'cfsr_small_x2_photographs'])
def test_what_a_run_keeps_of_its_config_has_no_findings_and_a_misspelt_key_of_it_has(name, tmp_path):
    kept = tmp_path / 'kept.py'
    load_config(f'{name}.py').dump(kept)
    assert not list(audit(load_config(kept), data=False))
    kept.write_text(kept.read_text() + 'with_mesk = True\n')
    assert [finding.key for finding in audit(load_config(kept), data=False)] == ['with_mesk']


@pytest.mark.parametrize(
    ('key', 'value', 'words'),
    [
        ('param_schedulr', [1], "Did you mean 'param_scheduler'"),
        ('train_dataloder.batch_size', 4, "Did you mean 'train_dataloader'"),
        ('crop_sise', (3, 3), "Did you mean 'crop_size'"),
        ('backbone.drop_path_rat', 0.1, "DiNAT takes no such argument. Did you mean 'drop_path_rate'"),
        ('model.decode_head.type', 'UPerHed', "Did you mean 'UPerHead'"),
        ('model.decode_head.pool_scale', (1,), "Did you mean 'pool_scales'"),
        ('optim_wrapper.clip_gradd', {}, "Did you mean 'clip_grad'"),
        ('num_classes', 151, 'has 150 classes (wall, building'),
        ('model.auxiliary_head.num_classes', 19, "the dataset has 150: write '${num_classes}'"),
        ('max_iters', 1000, 'param_scheduler[1].end'),
        ('load_from', 'nowhere.pth', "there is no file 'nowhere.pth'"),
        ('model.decode_head.loss_decode.class_weight', [1.0] * 149, 'has 149 numbers for 150 outputs: one per class'),
        ('train_dataloader.dataset.pipeline.1.num_classes', 19, "is 19, num_classes is 150: write '${num_classes}'"),
        ('backbone.in_channels', 4, 'has 3 numbers, the backbone takes in_channels=4'),
        ('backbone.in_channels', 4, 'reads images of 3 channels, the backbone takes in_channels=4'),
        ('model.data_preprocessor.std', [1.0], 'has 1 numbers, mean has 3'),
        ('model.decode_head.in_channels', [64, 128, 256, 99], "the backbone's maps have [64, 128, 256, 512]"),
        ('model.auxiliary_head.in_channels', 99, "is 99, the backbone's maps have 256: write '${channels[-2]}'"),
        ('model.decode_head.in_index', (0, 1, 2), 'names 3 maps, in_channels has 4 numbers'),
        ('model.decode_head.in_index', (0, 1, 2, 4), 'the backbone has 4 maps, counted from 0'),
        ('default_hooks.nan_gard', None, "no hook has this name. Did you mean 'nan_guard'"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(key, value, words):
    found = findings({key: value})
    assert any(words in finding for finding in found), found
    assert any(key.split('.')[0] in finding or key.split('.')[-1] in finding for finding in found)


def detector_findings(overrides, data=False) -> list[str]:
    config = load_config('configs/mask_rcnn_dinat_nano_strong_fruits.py', overrides)
    return [str(finding) for finding in audit(config, data=data)]


@pytest.mark.parametrize(
    ('key', 'value', 'words'),
    [
        ('model.roi_head.bbox_head.loss_cls.class_weight', [1.0] * 3, 'one per class, the last one for no object'),
        ('model.rpn_head.anchor_generator.strides', [4, 8], "has 2 strides for the neck's 5 maps"),
        ('model.neck.in_channels', [1, 2, 3, 4], "the backbone's maps have"),
    ],
)
def test_counts_of_a_detector_are_compared(key, value, words):
    found = detector_findings({key: value})
    assert any(words in finding for finding in found), found


@pytest.mark.parametrize(('blocks', 'told'), [((2, 5, 8, 11), []), ((8, 11), ['model.auxiliary_head[2].in_index'])])
def test_each_auxiliary_head_is_told_of_a_map_that_the_backbone_lacks(blocks, told, tmp_path):
    bases = ['backbones/sam', 'heads/setr_naive', 'datasets/ade20k', 'schedules/adamw_160k', 'runtime/default']
    (tmp_path / 'mine.py').write_text(f'_base_ = {[f"denseformer::_base_/{base}.py" for base in bases]}')
    config = load_config(tmp_path / 'mine.py', {'backbone.out_indices': blocks})
    assert [finding.key for finding in audit(config, data=False)] == told


@pytest.mark.parametrize(
    ('config', 'key', 'value', 'words'),
    [
        ('essaformer_x4_cave', 'network.in_channels', 30, 'LoadCube reads images of 31 channels, the network takes'),
        ('cfsr_x3_set5', 'network.in_channels', 1, 'LoadImagePair reads images of 3 channels, the network takes'),
    ],
)
def test_channels_that_are_read_are_those_of_a_restoration_network(config, key, value, words):
    assert not list(audit(load_config(f'configs/{config}.py'), data=False))
    found = [str(finding) for finding in audit(load_config(f'configs/{config}.py', {key: value}), data=False)]
    assert any(words in finding for finding in found), found


@pytest.mark.parametrize('iterations', [0, 1])
def test_a_warm_up_of_no_or_one_iteration_is_none(iterations):
    config = load_config(CONFIG, {'warmup_iters': iterations})
    assert [part['type'] for part in config.param_scheduler] == ['PolyLR']
    assert not list(audit(config, data=False))


def test_transforms_of_another_library_are_not_looked_up():
    assert detector_findings({'distortion': [{'type': 'Resize', 'height': 9, 'width': 9}]}) == []


def test_data_sets_inside_wrappers_are_looked_at(tmp_path):
    part = {'type': 'denseformer.CocoDataset', 'data_root': str(tmp_path)}
    one = {**part, 'ann_file': 'gone.json', 'metainfo': {'classes': ('nut',)}}
    other = {**part, 'ann_file': 'lost.json', 'metainfo': {'classes': ('date', 'fig', 'nut')}}
    joined = {'type': 'ConcatDataset', 'datasets': [one, other]}
    wrapped = {'_delete_': True, 'type': 'RepeatDataset', 'times': 2, 'dataset': joined}
    found = ' '.join(detector_findings({'data_root': str(tmp_path), 'train_dataloader.dataset': wrapped}, data=True))
    assert 'train_dataloader.dataset.dataset.datasets[0] has 1 classes (nut ...)' in found
    assert 'datasets[0].ann_file: there is no file' in found
    assert 'datasets[1].ann_file: there is no file' in found


def test_a_finding_names_the_file_and_line_that_set_the_key():
    finding = next(f for f in findings({'model.auxiliary_head.num_classes': 19}) if 'auxiliary' in f)
    assert 'upernet.py:' in finding


def test_all_findings_come_at_once():
    with pytest.raises(ConfigError, match='2 findings'):
        check_config(load_config(CONFIG, {'load_from': 'nowhere.pth', 'param_schedulr': [1]}), data=False)


def test_a_missing_data_folder_is_named():
    assert any('there is no folder' in finding for finding in findings({'data_root': 'nowhere'}, data=True))


@pytest.fixture
def folders(tmp_path):
    for split in ('train', 'val'):
        for folder in ('img_dir', 'ann_dir'):
            (tmp_path / folder / split).mkdir(parents=True)
        for name in ('a', 'b'):
            cv2.imwrite(str(tmp_path / f'img_dir/{split}/{name}.jpg'), np.zeros((8, 8, 3), np.uint8))
            cv2.imwrite(str(tmp_path / f'ann_dir/{split}/{name}.png'), np.zeros((8, 8), np.uint8))
    return tmp_path


def data_findings(root) -> list[str]:
    config = load_config('configs/upernet_dinat_mini_camvid.py', {'data_root': str(root)})
    return [str(finding) for finding in audit(config)]


def test_matching_folders_have_no_findings(folders):
    assert data_findings(folders) == []


def test_an_image_without_a_label_map_is_named(folders):
    (folders / 'ann_dir/train/a.png').unlink()
    assert any('1 of 2 images have no label map' in finding and ': a' in finding for finding in data_findings(folders))


def test_a_label_map_without_an_image_is_named(folders):
    (folders / 'img_dir/val/b.jpg').unlink()
    assert any('1 of 2 label maps have no image' in finding and ': b' in finding for finding in data_findings(folders))


def test_images_of_another_suffix_are_named(folders):
    for path in (folders / 'img_dir/train').glob('*.jpg'):
        path.rename(path.with_suffix('.tif'))
    assert any("ends in '.jpg', but there is 'a.tif'" in finding for finding in data_findings(folders))


def test_an_empty_folder_is_named(folders):
    for path in (folders / 'ann_dir/val').iterdir():
        path.unlink()
    assert any('is empty' in finding for finding in data_findings(folders))


def test_palette_and_classes_must_agree_in_number(folders):
    config = load_config('configs/upernet_dinat_mini_camvid.py', {'data_root': str(folders), 'palette': [(0, 0, 0)]})
    assert any('has 1 colors for 11 classes' in str(finding) for finding in audit(config))


def test_a_detector_with_a_class_count_of_its_own_is_found():
    config = load_config('configs/mask_rcnn_dinat_nano_sample.py', {'model.roi_head.mask_head.num_classes': 9})
    (finding,) = audit(config, data=False)
    assert finding.key == 'model.roi_head.mask_head.num_classes'
    assert 'is 9, the dataset has 5' in finding.problem
