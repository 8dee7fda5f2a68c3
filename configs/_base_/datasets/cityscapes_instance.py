# Cityscapes with 8 classes of things. mmdetection's tools/dataset_converters/cityscapes.py makes the annotations.
_base_ = ['./parts/instances.py', './parts/cropping.py']
data_root = 'data/cityscapes'
num_classes = 8
image_scale = (2048, 1024)
crop_size = (1024, 512)
_dataset = dict(type='denseformer.CityscapesDataset', data_root='${data_root}')
train_sampler = dict(type='InfiniteSampler')
train_dataloader = dict(
    batch_sampler=None,
    dataset=dict(
        **_dataset,
        ann_file='annotations/instancesonly_filtered_gtFine_train.json',
        data_prefix=dict(img='leftImg8bit/train'),
        filter_cfg=dict(filter_empty_gt=True),
    ),
)
val_dataloader = dict(
    dataset=dict(
        **_dataset,
        ann_file='annotations/instancesonly_filtered_gtFine_val.json',
        data_prefix=dict(img='leftImg8bit/val'),
    )
)
