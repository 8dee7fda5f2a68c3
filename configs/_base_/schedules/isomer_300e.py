# Isomer's recipe as its code has it by default: 300 epochs at one rate, 2 GPUs of 8 images.
epochs = 300
val_interval = 5
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=5e-4),
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs='${epochs}', val_interval='${val_interval}')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
