# What all panoptic datasets share, in COCO's format: one json, and a folder of maps whose colors are segment ids. A
# dataset's base sets num_classes, num_stuff, data_root, image_scale and the two datasets, and
# may add to val_evaluator a CocoMetric on a json of its things.
_base_ = './instances.py'
key_metric = 'PQ'
train_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(type='denseformer.LoadPanoptic'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomChoice', transforms='${augmentation}'),
    dict(type='PackDetInputs'),
]
panoptic_quality = dict(
    type='denseformer.PanopticMetric',
    data_root='${data_root}',
    ann_file='${val_dataloader.dataset.ann_file}',
    seg_prefix='${val_dataloader.dataset.data_prefix.seg}',
)
val_evaluator = ['${panoptic_quality}']
