# The same for datasets of boxes and masks: images, or crops out of them, are stretched to image_scale.
_base_ = './git_120k.py'
_stretch = dict(type='Resize', scale='${image_scale}', keep_ratio=False)
augmentation = [
    [_stretch],
    [
        dict(type='RandomChoiceResize', scales=[(400, 4200), (500, 4200), (600, 4200)], keep_ratio=True),
        dict(
            type='RandomCrop',
            crop_type='absolute_range',
            crop_size=(384, 600),
            recompute_bbox=True,
            allow_negative_crop=True,
        ),
        _stretch,
        dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1), keep_empty=False),
    ],
]
