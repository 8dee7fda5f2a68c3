# COCO 2017 panoptic: the photographs of coco_instance.py with 80 classes of things and 53 of stuff.
_base_ = './parts/panoptic.py'
data_root = 'data/coco'
num_classes = 133
num_stuff = 53
image_scale = (1333, 800)
_dataset = dict(type='denseformer.CocoPanopticDataset', data_root='${data_root}')
train_dataloader = dict(
    dataset=dict(
        **_dataset,
        ann_file='annotations/panoptic_train2017.json',
        data_prefix=dict(img='train2017', seg='annotations/panoptic_train2017'),
    )
)
val_dataloader = dict(
    dataset=dict(
        **_dataset,
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(img='val2017', seg='annotations/panoptic_val2017'),
    )
)
_things = dict(type='denseformer.CocoMetric', data_root='${data_root}', ann_file='annotations/instances_val2017.json')
val_evaluator = ['${panoptic_quality}', _things]
