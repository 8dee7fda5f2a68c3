_base_ = [
    './_base_/backbones/parts/hrnet.py',
    './_base_/systems/ocrnet.py',
    './_base_/datasets/cityscapes.py',
    './_base_/schedules/sgd_poly.py',
    './_base_/runtime/default.py',
]
# The authors' RMI loss, attention between scales, and weights and images of Mapillary are not here.
backbone = dict(plugin=dict(type='denseformer.PolarizedSelfAttention', mode='parallel'))
crop_size, batch_size, max_iters = (1024, 2048), 1, 65_000  # on each of 8 GPUs, 175 epochs
optim_wrapper, auto_scale_lr = dict(optimizer=dict(lr=5e-3)), dict(base_batch_size=8)
published = dict(metric='mIoU', value=86.95, source='DeLightCMU/PSA, README.md')
