# Pascal Context: 4996 training and 5104 validation images, 59 classes; label 0 of its files, the background, is ignored.
_base_ = './parts/segmentation.py'
data_root = 'data/VOCdevkit/VOC2010'
num_classes = 59
reduce_zero_label = True
image_scale, train_scale, crop_size = (4096, 520), (520, 520), (480, 480)
_dataset = dict(
    type='PascalContextDataset59',
    data_root='${data_root}',
    data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassContext'),
)
train_dataloader = dict(dataset=dict(**_dataset, ann_file='ImageSets/SegmentationContext/train.txt'))
val_dataloader = dict(dataset=dict(**_dataset, ann_file='ImageSets/SegmentationContext/val.txt'))
