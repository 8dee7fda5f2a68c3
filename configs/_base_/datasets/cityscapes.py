# Cityscapes: 2975 training and 500 validation street scenes, 2048 x 1024, 19 classes.
_base_ = './parts/segmentation.py'
data_root = 'data/cityscapes'
num_classes = 19
image_scale = (2048, 1024)
crop_size = (512, 1024)
_dataset = dict(type='CityscapesDataset', data_root='${data_root}')
train_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'))
)
val_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'))
)
