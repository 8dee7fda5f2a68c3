# The linear head as DINOv3's authors train it, with dropout.
_base_ = './linear_windows.py'
model = dict(decode_head=dict(dropout_ratio=0.1))
