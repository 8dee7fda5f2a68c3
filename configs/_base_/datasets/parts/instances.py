# What all datasets of boxes and masks share; boxes.py leaves the masks out. A dataset's base sets num_classes,
# data_root, the two datasets and image_scale (the long and the short side images are resized to fit); the schedule says
# how images are augmented.
batch_size = 2  # per GPU
num_workers = 4
key_metric = 'segm_mAP'  # by which the best checkpoint is chosen
with_mask = True
with_seg = False  # label maps of whole images (`data_prefix.seg`), for heads that learn them besides
keep_ratio = True  # test images keep their shape; False stretches them to image_scale
scored = ['bbox', 'segm']
copy_paste = 0.0  # share of the training images into which objects of another one are pasted; needs masks
# For classes of few images, with _delete_=True: denseformer.RepeatFactorSampler(threshold=0.1), which repeats images by
# their rarest class, or mmdet.ClassAwareSampler, which draws a class, then an image of it.
train_sampler = dict(type='DefaultSampler', shuffle=True)

train_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(type='denseformer.LoadInstances', with_mask='${with_mask}', with_seg='${with_seg}'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomChoice', transforms='${augmentation}'),
    dict(type='denseformer.CopyPaste', prob='${copy_paste}'),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(type='Resize', scale='${image_scale}', keep_ratio='${keep_ratio}'),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'instances')),
]

train_dataloader = dict(
    batch_size='${batch_size}',
    num_workers='${num_workers}',
    persistent_workers=True,
    sampler='${train_sampler}',
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(pipeline='${train_pipeline}'),
)
val_dataloader = dict(
    batch_size=1,
    num_workers='${num_workers}',
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline='${test_pipeline}', test_mode=True),
)
test_dataloader = '${val_dataloader}'
val_evaluator = dict(
    type='denseformer.CocoMetric',
    data_root='${data_root}',
    ann_file='${val_dataloader.dataset.ann_file}',
    metric='${scored}',
)
test_evaluator = '${val_evaluator}'
