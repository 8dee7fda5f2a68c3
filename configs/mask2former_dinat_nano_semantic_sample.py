_base_ = [
    './_base_/backbones/dinat_nano.py',
    './_base_/heads/mask2former_semantic.py',
    './_base_/datasets/sample.py',
    './_base_/schedules/adamw_minutes.py',
    './_base_/runtime/default.py',
]
head = dict(num_queries=20, width=64, num_heads=4, encoder_layers=1, decoder_layers=3, num_points=1024)
max_iters, val_interval = 1440, 720
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=1.0))
