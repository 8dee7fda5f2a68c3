# ViTDet's recipe: large-scale jitter in batches of 64 images, with a short warm-up.
_base_ = './adamw_lsj.py'
warmup_iters = 250
optim_wrapper = dict(optimizer=dict(weight_decay=0.1))
auto_scale_lr = dict(base_batch_size=64)
