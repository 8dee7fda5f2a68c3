_base_ = './default.py'
key_metric = 'PSNR'  # by which the best checkpoint is chosen
sync_bn = None
default_hooks = dict(checkpoint=dict(rule='greater'))
