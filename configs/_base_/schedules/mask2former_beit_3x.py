# ViT-Adapter's recipe of Mask2Former on COCO: 36 epochs at many scales, 16 GPUs of one image; weights are averaged.
_base_ = './adamw_3x.py'
steps = [26, 32]
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, begin=0, end='${epochs}', milestones='${steps}', gamma=0.1)]
optim_wrapper = dict(
    clip_grad=dict(max_norm=0.01), paramwise_cfg=dict(layer_decay=0.9, vector_decay=False, decay_everything=True)
)
custom_hooks = [dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=1e-4, gamma=2000, update_buffers=True)]
