# Mask2Former's recipe on COCO: 50 epochs on crops of 1024 x 1024 out of images of a tenth to twice that size.
_base_ = './mask2former_160k.py'
epochs = 50
steps = [44, 48]  # the epochs after which the learning rate falls to a tenth
val_interval = 1
crop_size = (1024, 1024)
augmentation = [
    [
        dict(type='RandomResize', scale='${crop_size}', ratio_range=(0.1, 2.0), keep_ratio=True),
        dict(type='RandomCrop', crop_size='${crop_size}', recompute_bbox=True, allow_negative_crop=True),
        dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1), by_mask=True, keep_empty=False),
        # the mean color, outside of the image
        dict(type='Pad', size='${crop_size}', pad_val=dict(img=(104, 116, 124), masks=0, seg=255)),
    ]
]
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, begin=0, end='${epochs}', milestones='${steps}', gamma=0.1)]
train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs='${epochs}', val_interval='${val_interval}')
