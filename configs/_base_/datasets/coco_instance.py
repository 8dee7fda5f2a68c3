# COCO 2017: 118287 training and 5000 validation photographs, 80 classes of things.
_base_ = './parts/instances.py'
data_root = 'data/coco'
num_classes = 80
image_scale = (1333, 800)
_dataset = dict(type='denseformer.CocoDataset', data_root='${data_root}')
train_dataloader = dict(
    dataset=dict(
        **_dataset,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
    )
)
val_dataloader = dict(
    dataset=dict(**_dataset, ann_file='annotations/instances_val2017.json', data_prefix=dict(img='val2017'))
)
