# What datasets of faces share: images of 224 x 224, sides that are exchanged in mirrored images, and F1 without the
# background.
_base_ = './segmentation.py'
image_scale = (224, 224)
crop_size = (224, 224)
scale_range = (0.9, 1.2)
batch_size = 8
key_metric = 'mDice'  # the F1 of pixels
mirrored = [(2, 3), (4, 5)]  # classes of the left and of the right side
train_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(type='denseformer.LoadSegmentation', num_classes='${num_classes}'),
    dict(type='RandomResize', scale='${image_scale}', ratio_range='${scale_range}', keep_ratio=True),
    dict(type='RandomCrop', crop_size='${crop_size}'),
    dict(type='RandomFlip', prob=0.5, swap_seg_labels='${mirrored}'),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs', meta_keys=('img_path', 'ori_shape', 'img_shape', 'flip', 'flip_direction', 'face')),
]
val_evaluator = dict(iou_metrics=['mDice'], left_out=['background'])
