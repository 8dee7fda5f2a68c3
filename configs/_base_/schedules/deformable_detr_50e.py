# Deformable DETR's recipe: 50 epochs, 16 GPUs of 2 images.
_base_ = './detr_3x.py'
epochs = 50
steps = [40]
_slow = dict(lr_mult=0.1)
optim_wrapper = dict(
    optimizer=dict(lr=2e-4), paramwise_cfg=dict(custom_keys=dict(sampling_offsets=_slow, reference_points=_slow))
)
auto_scale_lr = dict(base_batch_size=32)
