_base_ = [
    './_base_/backbones/vim.py',
    './_base_/heads/parts/cascade_mask_rcnn_vitdet.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_lsj.py',
    './_base_/runtime/epochs.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', image_size=1024, rope=True, pyramid=False, out_indices=(3,), drop_path_rate=0.1)
image_scale, warmup_iters = (1024, 1024), 250
model = dict(data_preprocessor=dict(pad_size_divisor=1024))
optim_wrapper = dict(optimizer=dict(weight_decay=0.1), paramwise_cfg=dict(layer_decay=0.837))
epochs, steps, auto_scale_lr = (100, [89, 96], {'base_batch_size': 64})
published = dict(metric='bbox_mAP', value=45.7, segm_mAP=39.2, source='Vision Mamba paper, https://arxiv.org/abs/2401.09417')
