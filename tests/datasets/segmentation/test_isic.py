"""ISIC's images and masks under their published names."""

import numpy as np
from mmengine.registry import init_default_scope
from PIL import Image

from denseformer.registry import DATASETS


def test_masks_of_0_and_255_are_skin_and_lesion(tmp_path):
    init_default_scope('mmseg')
    for folder in ('input', 'truth'):
        (tmp_path / folder).mkdir()
    for name in ('ISIC_1', 'ISIC_2'):
        Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / f'input/{name}.jpg')
        Image.fromarray(np.array([[0, 255], [0, 0]], np.uint8)).save(tmp_path / f'truth/{name}_segmentation.png')
    dataset = DATASETS.build(
        dict(
            type='denseformer.ISICDataset',
            data_root=str(tmp_path),
            data_prefix=dict(img_path='input', seg_map_path='truth'),
            indices=[1],
            pipeline=[dict(type='denseformer.LoadSegmentation', num_classes=2), dict(type='PackSegInputs')],
        )
    )
    (sample,) = list(dataset)
    assert sample['data_samples'].gt_sem_seg.data.tolist() == [[[0, 1], [0, 0]]]
