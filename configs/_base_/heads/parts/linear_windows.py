# The linear head on windows of 512 pixels, a third of which the next one covers, too.
_base_ = '../linear.py'
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(341, 341)))
