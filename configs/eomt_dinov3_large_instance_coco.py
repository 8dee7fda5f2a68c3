_base_ = [
    './_base_/backbones/dinov3.py',
    './_base_/heads/eomt.py',
    './_base_/datasets/coco_instance_squares.py',
    './_base_/schedules/eomt_coco_instance.py',
    './_base_/runtime/epochs.py',
]
backbone, encoder = dict(arch='large', pretrained='lvd1689m'), dict(deltas_to='lvd1689m')
optim_wrapper = dict(optimizer=dict(lr=2e-4), paramwise_cfg=dict(full_rate_blocks=4))
warmups = [2000, 3000]
published = dict(metric='segm_mAP', value=45.9, source='tue-mps/eomt, model_zoo/dinov3.md')
