# EoMT's recipe on COCO: 12 epochs of 7393 steps on square crops out of images of a tenth to twice that size.
_base_ = './eomt.py'
epochs = 12
val_interval = 1
max_iters = 88_716
mask_starts = [14782, 29564, 44346, 59128]
mask_ends = [29564, 44346, 59128, 73910]
crop_size = (640, 640)
redraw_empty = False  # whether another image takes the place of one without things
augmentation = [
    [
        dict(type='RandomResize', scale='${crop_size}', ratio_range=(0.1, 2.0), keep_ratio=True),
        dict(type='RandomCrop', crop_size='${crop_size}', recompute_bbox=True, allow_negative_crop=True),
        dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1), by_mask=True, keep_empty='${redraw_empty}'),
        dict(type='Pad', size='${crop_size}', pad_val=dict(img=(0, 0, 0), masks=0, seg=255)),
    ]
]
train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs='${epochs}', val_interval='${val_interval}')
