_base_ = [
    './_base_/backbones/dinov3.py',
    './_base_/heads/eomt_semantic.py',
    './_base_/datasets/ade20k_eomt.py',
    './_base_/schedules/eomt.py',
    './_base_/runtime/default.py',
]
backbone, encoder = dict(arch='large', pretrained='lvd1689m'), dict(deltas_to='lvd1689m')
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride='${crop_size}'))
optim_wrapper = dict(optimizer=dict(lr=2e-4), paramwise_cfg=dict(layer_decay=1.0))
max_iters, warmups, mask_starts, mask_ends = 20_192, [2000, 3000], [0, 6520, 9780, 13040], [3000, 9780, 13040, 16300]
published = dict(metric='mIoU', value=59.5, source='tue-mps/eomt, model_zoo/dinov3.md')
