"""Training without labels reads a folder of images that has none."""

from pathlib import Path

import cv2
import numpy as np
from mmengine.registry import DATASETS, init_default_scope

from denseformer.config.loading import load_config

CONFIG = Path(__file__).parents[2] / 'configs/mae_vit_base_ade20k.py'


def test_images_of_a_folder_and_those_below_it_need_no_labels(tmp_path):
    (tmp_path / 'more').mkdir()
    for name in ('a.jpg', 'b.png', 'more/c.JPEG'):
        cv2.imwrite(str(tmp_path / name), np.full((40, 60, 3), 90, np.uint8))
    (tmp_path / 'notes.txt').write_text('no image')
    config = load_config(CONFIG, {'data_root': str(tmp_path), 'image_scale': (128, 32), 'crop_size': (32, 32)})
    init_default_scope(config.default_scope)
    dataset = DATASETS.build(config.train_dataloader.dataset)
    assert len(dataset) == 3
    sample = dataset[0]
    assert sample['inputs'].shape == (3, 32, 32)
    assert 'gt_sem_seg' not in sample['data_samples']
    assert config.val_dataloader is None
