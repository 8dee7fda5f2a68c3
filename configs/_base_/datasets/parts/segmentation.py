# What all semantic segmentation datasets share. A dataset's base sets num_classes, data_root and the three datasets,
# and may change the sizes: image_scale (the long and the short side images are resized to) and crop_size.
image_scale = (2048, 512)
crop_size = (512, 512)
train_scale = '${image_scale}'  # training images are resized to this times a factor out of scale_range
scale_range = (0.5, 2.0)
test_multiple = 1  # sides of test images are stretched to multiples of this
cat_max_ratio = 0.75  # crops of which one class fills more are drawn again
reduce_zero_label = False
batch_size = 2  # per GPU
num_workers = 4
key_metric = 'mIoU'  # by which the best checkpoint is chosen

train_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(type='denseformer.LoadSegmentation', num_classes='${num_classes}', reduce_zero_label='${reduce_zero_label}'),
    dict(type='RandomResize', scale='${train_scale}', ratio_range='${scale_range}', keep_ratio=True),
    dict(type='RandomCrop', crop_size='${crop_size}', cat_max_ratio='${cat_max_ratio}'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='denseformer.LoadImage'),
    # The label map is read first, at the image's own size, and is not resized: scores are taken at that size.
    dict(type='denseformer.LoadSegmentation', num_classes='${num_classes}', reduce_zero_label='${reduce_zero_label}'),
    dict(type='denseformer.ResizeImage', scale='${image_scale}', multiple='${test_multiple}'),
    dict(type='PackSegInputs'),
]
tta_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(type='denseformer.LoadSegmentation', num_classes='${num_classes}', reduce_zero_label='${reduce_zero_label}'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='denseformer.ResizeImage', scale='${image_scale}', ratio=r, multiple='${test_multiple}') for r in (0.5, 0.75, 1, 1.25, 1.5, 1.75)],
            [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)],
            [dict(type='PackSegInputs')],
        ],
    ),
]

train_dataloader = dict(
    batch_size='${batch_size}',
    num_workers='${num_workers}',
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline='${train_pipeline}'),
)
val_dataloader = dict(
    batch_size=1,
    num_workers='${num_workers}',
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline='${test_pipeline}'),
)
test_dataloader = '${val_dataloader}'
val_evaluator = dict(type='denseformer.SegmentationMetric')
test_evaluator = '${val_evaluator}'
