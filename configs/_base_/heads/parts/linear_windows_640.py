# The linear head on windows of 640 pixels, half of which the next one covers, too.
_base_ = '../linear.py'
model = dict(test_cfg=dict(mode='slide', crop_size='${crop_size}', stride=(320, 320)))
