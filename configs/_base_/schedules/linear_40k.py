# A linear head on a frozen backbone: 40000 steps of 16 images, at the rates that DINOv2's heads are evaluated with in the
# configs of Denoising-ViT, evaluation/configs/vitb_voc2012_linear_config.py.
_base_ = './adamw_160k.py'
max_iters = 40_000
val_interval = 4000
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=1e-4))
