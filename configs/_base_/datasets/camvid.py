# CamVid: 367 training and 101 validation frames of a drive, 480 x 360, 11 classes, 255 ignored.
_base_ = './parts/segmentation.py'
data_root = 'data/camvid'
image_scale = (480, 360)
crop_size = (256, 256)
batch_size = 4
classes = ('sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign', 'fence', 'car', 'pedestrian', 'bicyclist')
palette = [
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
]  # fmt: skip
num_classes = len(classes)
_dataset = dict(type='BaseSegDataset', data_root='${data_root}', metainfo=dict(classes='${classes}', palette='${palette}'))
train_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'))
)
val_dataloader = dict(dataset=dict(**_dataset, data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val')))
