# ADE20K's panoptic maps on squares: images of a tenth to twice the square, filled up where they are smaller. Tested
# whole, on the same squares.
_base_ = ['./ade20k_panoptic.py', './parts/squares.py']
test_pipeline = '${padded_pipeline}'
image_scale = '${crop_size}'
scale_range = (0.1, 2.0)
augmentation = [
    [
        dict(type='RandomResize', scale='${crop_size}', ratio_range='${scale_range}', keep_ratio=True),
        dict(type='RandomCrop', crop_size='${crop_size}', recompute_bbox=True, allow_negative_crop=True),
        dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1), by_mask=True, keep_empty=False),
        dict(type='PhotoMetricDistortion'),
        dict(type='Pad', size='${crop_size}', pad_val=dict(img=(0, 0, 0), masks=0, seg=255)),
    ]
]
