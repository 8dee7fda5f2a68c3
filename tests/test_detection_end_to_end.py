"""Mask R-CNN on the sample set, through the commands users type: train, and score boxes and masks as COCO does."""

import json

from denseformer.cli import main
from denseformer.datasets.sample import THING_CLASSES

CONFIG = 'configs/mask_rcnn_dinat_nano_sample.py'
SMALL = [
    *('num_workers=0', 'batch_size=2', 'log_interval=1', 'warmup_iters=1', 'epochs=1'),
    *('train_dataloader.persistent_workers=False', 'val_dataloader.persistent_workers=False'),
    *('train_dataloader.dataset.train=6', 'train_dataloader.dataset.val=3'),
    *('val_dataloader.dataset.train=6', 'val_dataloader.dataset.val=3'),
]


def test_train_and_score_with_coco_metrics(tmp_path):
    options = ['--device', 'cpu', '--cfg-options', f'data_root={tmp_path}/sample', *SMALL]
    work, scores = tmp_path / 'work', tmp_path / 'scores.json'
    assert main(['train', CONFIG, '--work-dir', str(work), '--seed', '0', *options]) == 0
    (log,) = work.glob('2*/vis_data/scalars.json')
    (text,) = work.glob('2*/*.log')
    assert 'Operators: ' in text.read_text()
    losses = [line for line in map(json.loads, log.read_text().splitlines()) if 'loss' in line]
    assert len(losses) == 3
    assert {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox', 'loss_mask'} <= set(losses[0])

    checkpoint = (work / 'last_checkpoint').read_text().strip()
    places = ['--work-dir', str(work), '--out', str(scores), '--show-dir', str(tmp_path / 'shown')]
    assert main(['test', CONFIG, checkpoint, *places, *options]) == 0
    result = json.loads(scores.read_text())
    assert {'bbox_mAP', 'segm_mAP'} <= set(result['metrics'])
    assert all(-1 <= value <= 1 for value in result['metrics'].values())
    assert list(result['per_class']) == list(THING_CLASSES)
    (table,) = work.glob('2*/confusion_matrix.json')
    truth = {name: sum(row) for name, row in zip(THING_CLASSES, json.loads(table.read_text())['counts'], strict=False)}
    assert truth == {name: row['objects'] for name, row in result['per_class'].items()}
    assert table.with_suffix('.png').is_file()
    assert len(list((tmp_path / 'shown').rglob('*.jpg'))) == 3
