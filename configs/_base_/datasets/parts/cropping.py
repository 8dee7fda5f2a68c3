# How Mask2Former's recipes augment instances and panoptic maps when they train on crops. Needs of the dataset's base:
# image_scale, crop_size, which is (width, height) here.
scale_range = (0.5, 2.0)  # training images are resized to image_scale times a factor out of this range
distorted = 1.0  # the share of them whose colors are changed
augmentation = [
    [
        dict(type='RandomResize', scale='${image_scale}', ratio_range='${scale_range}', keep_ratio=True),
        dict(type='RandomCrop', crop_size='${crop_size}', recompute_bbox=True, allow_negative_crop=True),
        dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1), by_mask=True, keep_empty=False),
        dict(type='RandomApply', prob='${distorted}', transforms=[dict(type='PhotoMetricDistortion')]),
    ]
]
