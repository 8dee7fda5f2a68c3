_base_ = [
    './_base_/backbones/dinat_nano.py',
    './_base_/heads/rtdetr.py',
    './_base_/datasets/sample_instance.py',
    './_base_/schedules/adamw_minutes_epochs.py',
    './_base_/runtime/epochs.py',
]
with_mask, scored, key_metric, batch_size = False, ['bbox'], 'bbox_mAP', 4
pyramid, width, decoder_layers, num_queries, feedforward = 64, 64, 2, 50, 256
model = dict(neck=dict(depth=1, feedforward=256))
