# kMaX-DeepLab's recipe on COCO, on crops of 1281 x 1281 out of images of a fifth to twice that size.
_base_ = './kmax_100k.py'
max_iters = 150_000
crop_size = (1281, 1281)
augmentation = [
    [
        dict(type='RandomResize', scale='${crop_size}', ratio_range=(0.2, 2.0), keep_ratio=True),
        dict(type='RandomCrop', crop_size='${crop_size}', recompute_bbox=True, allow_negative_crop=True),
        dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1), by_mask=True, keep_empty=False),
    ]
]
