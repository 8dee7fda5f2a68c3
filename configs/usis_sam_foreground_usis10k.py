_base_ = [
    './_base_/backbones/adapted_sam.py',
    './_base_/systems/usis_sam.py',
    './_base_/datasets/usis10k_foreground.py',
    './_base_/schedules/adamw_lsj.py',
    './_base_/runtime/epochs.py',
]
load_from = 'weights:sam_huge_sa_1b'  # encoder and mask decoder
epochs, steps, warmup_iters, val_interval = 24, [15, 21], 50, 3
optim_wrapper = dict(type='AmpOptimWrapper', dtype='float16')
auto_scale_lr = dict(base_batch_size=2)
published = dict(metric='segm_mAP', value=64.3, source='LiamLian0727/USIS10K, README.md')
