# Boxes in Pascal VOC's format with classes of their own. A dataset's base sets data_root, classes, num_classes and
# image_scale.
_base_ = './boxes.py'
image_suffix = '.jpg'
_dataset = dict(
    type='denseformer.XMLDataset',
    data_root='${data_root}',
    data_prefix=dict(sub_data_root=''),
    img_suffix='${image_suffix}',
    metainfo=dict(classes='${classes}'),
)
train_dataloader = dict(dataset=dict(**_dataset, ann_file='ImageSets/Main/train.txt'))
val_dataloader = dict(dataset=dict(**_dataset, ann_file='ImageSets/Main/val.txt'))
val_evaluator = dict(ann_file=None)  # scored against the boxes that were read
