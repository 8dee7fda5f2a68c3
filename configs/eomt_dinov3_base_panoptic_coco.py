_base_ = [
    './_base_/backbones/dinov3.py',
    './_base_/heads/eomt_panoptic.py',
    './_base_/datasets/coco_panoptic_squares.py',
    './_base_/schedules/eomt_coco.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='base', pretrained='lvd1689m')
optim_wrapper = dict(optimizer=dict(lr=2e-4), paramwise_cfg=dict(full_rate_blocks=3))
encoder, epochs = dict(query_blocks=3, deltas_to='lvd1689m'), 24
max_iters, warmups, mask_starts, mask_ends = 177_432, [2000, 3000], [0, 73910, 118256], [3000, 103474, 147820]
published = dict(metric='PQ', value=53.1, source='tue-mps/eomt, model_zoo/dinov3.md')
