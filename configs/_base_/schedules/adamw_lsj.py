# Large-scale jitter, https://arxiv.org/abs/2012.07177: 100 epochs on crops out of images of a tenth to twice their size.
_base_ = './adamw_1x.py'
epochs = 100
steps = [89, 96]
val_interval = 10
crop_size = (1024, 1024)
scale_range = (0.1, 2.0)  # training images are resized to fit crop_size times a factor out of this range
smallest_box = (1, 1)  # sides in pixels below which what a crop leaves of an object is dropped
redraw_empty = False  # whether another image takes the place of one without objects
distortion = []  # transforms of Albumentations
augmentation = [
    [
        dict(type='RandomResize', scale='${crop_size}', ratio_range='${scale_range}', keep_ratio=True),
        dict(type='RandomCrop', crop_size='${crop_size}', recompute_bbox=True, allow_negative_crop=True),
        dict(type='FilterAnnotations', min_gt_bbox_wh='${smallest_box}', keep_empty='${redraw_empty}'),
        dict(type='denseformer.Albumentations', transforms='${distortion}'),
    ]
]
