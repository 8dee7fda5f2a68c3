# Large-scale jitter, and changes of color, sharpness and compression besides: for small datasets. No mosaics, whose
# seams and shrunk objects no test image has.
_base_ = './adamw_lsj.py'
distortion = [
    dict(type='ColorJitter', brightness=(0.6, 1.4), contrast=(0.6, 1.4), saturation=(0.4, 1.6), hue=(-0.05, 0.05), p=0.8),
    dict(type='ToGray', p=0.1),
    dict(type='OneOf', transforms=[dict(type='GaussianBlur', p=1), dict(type='MotionBlur', p=1)], p=0.2),
    dict(type='ImageCompression', quality_range=(40, 95), p=0.2),
]
