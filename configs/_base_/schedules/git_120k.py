# GiT's recipe: 8 GPUs of 3 images. Blocks of SAM learn more slowly the earlier they stand, the new ones at the full rate.
max_iters = 120_000
val_interval = 5000
_slowest, _pretrained, _blocks = 5, 12, 18
_rates = {
    f'backbone.backbone.blocks.{i}.': dict(
        lr_mult=0.1 + 0.9 * min(max(i - _slowest, 0) / (_pretrained - _slowest), 1.0)
    )
    for i in range(_blocks)
}
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=0.05),
    clip_grad=dict(max_norm=0.1),
    paramwise_cfg=dict(custom_keys={'backbone.backbone.patch_embed': dict(lr_mult=0.1), **_rates}),
)
param_scheduler = [dict(type='CosineAnnealingLR', eta_min=2e-6, by_epoch=False, begin=0, end='${max_iters}')]
train_cfg = dict(type='IterBasedTrainLoop', max_iters='${max_iters}', val_interval='${val_interval}')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=24)
