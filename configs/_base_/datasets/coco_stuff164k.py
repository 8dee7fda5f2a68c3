# COCO-Stuff: COCO's 118287 training and 5000 validation images, 171 classes. Label maps as mmsegmentation converts them.
_base_ = './parts/segmentation.py'
data_root = 'data/coco_stuff164k'
num_classes = 171
_dataset = dict(type='COCOStuffDataset', data_root='${data_root}')
train_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='images/train2017', seg_map_path='annotations/train2017'))
)
val_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='images/val2017', seg_map_path='annotations/val2017'))
)
