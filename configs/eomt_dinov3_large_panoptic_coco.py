_base_ = [
    './_base_/backbones/dinov3.py',
    './_base_/heads/eomt_panoptic.py',
    './_base_/datasets/coco_panoptic_squares.py',
    './_base_/schedules/eomt_coco.py',
    './_base_/runtime/epochs.py',
]
backbone, encoder = dict(arch='large', pretrained='lvd1689m'), dict(deltas_to='lvd1689m')
optim_wrapper = dict(optimizer=dict(lr=2e-4), paramwise_cfg=dict(full_rate_blocks=4))
warmups, mask_starts, mask_ends = [2000, 3000], [0, 29564, 44346, 59128], [3000, 44346, 59128, 73910]
published = dict(metric='PQ', value=56.8, source='tue-mps/eomt, model_zoo/dinov3.md')
