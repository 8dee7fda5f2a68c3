# The authors' layer-wise decay looks for the blocks under another name: it lowers the embedding's rate alone.
_base_ = [
    './_base_/backbones/vim.py',
    './_base_/heads/upernet.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtime/default.py',
]
backbone = dict(arch='tiny', pretrained='imagenet1k', drop_path_rate=0.1)
model = dict(decode_head=dict(channels=192), test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
optim_wrapper = dict(optimizer=dict(lr=2e-4, weight_decay=0.1), paramwise_cfg=dict(layer_decay=0.92, full_rate_blocks=24, decay_everything=True, vector_decay=False))
max_iters, val_interval, batch_size, auto_scale_lr = 60_000, 6000, 8, dict(base_batch_size=32)
published = dict(metric='mIoU', value=41.0, source='Vision Mamba paper, https://arxiv.org/abs/2401.09417')
