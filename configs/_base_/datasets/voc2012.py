# Pascal VOC 2012 segmentation: 1464 training and 1449 validation images, 20 classes and background.
_base_ = './parts/segmentation.py'
data_root = 'data/VOCdevkit/VOC2012'
num_classes = 21
_dataset = dict(
    type='PascalVOCDataset',
    data_root='${data_root}',
    data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
)
train_dataloader = dict(dataset=dict(**_dataset, ann_file='ImageSets/Segmentation/train.txt'))
val_dataloader = dict(dataset=dict(**_dataset, ann_file='ImageSets/Segmentation/val.txt'))
