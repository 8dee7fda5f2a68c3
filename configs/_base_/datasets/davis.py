# DAVIS 2016: 30 training and 20 validation videos of one moving object, 854 x 480. Flow is computed, or read where
# flow_path names its folder, as `denseformer.VideoObjects` says. Images are stretched to squares, as Isomer has them.
_base_ = './parts/segmentation.py'
data_root = 'data/davis'
num_classes = 2
image_scale = crop_size = (512, 512)
key_metric = 'J&F'
batch_size = 8
train_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(type='denseformer.LoadSegmentation', num_classes='${num_classes}'),
    dict(type='PhotoMetricDistortion'),
    dict(type='denseformer.LoadFlow'),
    dict(type='Resize', scale='${image_scale}', keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(type='denseformer.LoadSegmentation', num_classes='${num_classes}'),
    dict(type='denseformer.LoadFlow'),
    dict(type='denseformer.ResizeImage', scale='${image_scale}', multiple='${image_scale[0]}'),
    dict(type='PackSegInputs'),
]
_dataset = dict(
    type='denseformer.VideoObjects',
    data_root='${data_root}',
    data_prefix=dict(img_path='JPEGImages/480p', seg_map_path='Annotations/480p'),
)
train_dataloader = dict(
    sampler=dict(type='DefaultSampler'), dataset=dict(**_dataset, ann_file='ImageSets/480p/train.txt')
)
val_dataloader = dict(dataset=dict(**_dataset, ann_file='ImageSets/480p/val.txt'))
val_evaluator = dict(_delete_=True, type='denseformer.VideoObjectMetric')
