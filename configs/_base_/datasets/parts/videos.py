# What data sets of videos with one moving object share. A data set's base sets data_root and the two datasets' lists.
# Images are stretched to squares of crop_size, as Isomer has them. Flow is computed, or read where flow_path names its
# folder, as `denseformer.VideoObjects` says.
_base_ = './segmentation.py'
num_classes = 2
key_metric = 'J&F'
train_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(type='denseformer.LoadSegmentation', num_classes='${num_classes}'),
    dict(type='PhotoMetricDistortion'),
    dict(type='denseformer.LoadFlow'),
    dict(type='Resize', scale='${crop_size}', keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(type='denseformer.LoadSegmentation', num_classes='${num_classes}'),
    dict(type='denseformer.LoadFlow'),
    dict(type='denseformer.ResizeImage', scale='${crop_size}', multiple='${crop_size[0]}'),
    dict(type='PackSegInputs'),
]
_dataset = dict(type='denseformer.VideoObjects', data_root='${data_root}')
train_dataloader = dict(dataset=_dataset)
val_dataloader = dict(dataset=_dataset)
val_evaluator = dict(_delete_=True, type='denseformer.VideoObjectMetric')
