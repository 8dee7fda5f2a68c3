# "3x" with crops of 1024 x 1024 out of the enlarged images, as ViT-Adapter trains its detectors.
_base_ = './adamw_3x.py'
_resize = dict(type='RandomChoiceResize', scales=[(1333, side) for side in range(480, 801, 32)], keep_ratio=True)
_crop = dict(type='RandomCrop', crop_type='absolute_range', crop_size=(1024, 1024), allow_negative_crop=True)
augmentation = [
    [_resize, _crop],
    [
        dict(type='RandomChoiceResize', scales=[(1333, side) for side in (400, 500, 600)], keep_ratio=True),
        dict(type='RandomCrop', crop_type='absolute_range', crop_size=(384, 600), allow_negative_crop=True),
        _resize,
        _crop,
    ],
]
optim_wrapper = dict(paramwise_cfg=dict(vector_decay=False, head_no_decay=('norm', 'level_embed')))
