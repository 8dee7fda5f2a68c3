# "1x" at many scales; every other image is cropped first, as DETR does it.
_base_ = './adamw_1x.py'
_resize = dict(type='RandomChoiceResize', scales=[(1333, side) for side in range(480, 801, 32)], keep_ratio=True)
augmentation = [
    [_resize],
    [
        dict(type='RandomChoiceResize', scales=[(1333, side) for side in (400, 500, 600)], keep_ratio=True),
        dict(type='RandomCrop', crop_type='absolute_range', crop_size=(384, 600), allow_negative_crop=True),
        _resize,
    ],
]
