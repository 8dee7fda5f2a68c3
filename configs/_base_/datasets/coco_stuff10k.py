# COCO-Stuff's first release: 9000 training and 1000 test images, 171 classes; label 0 of its files means unlabelled.
# Label maps as mmsegmentation converts them.
_base_ = './parts/segmentation.py'
data_root = 'data/coco_stuff10k'
num_classes = 171
reduce_zero_label = True
_dataset = dict(type='COCOStuffDataset', data_root='${data_root}', reduce_zero_label=True)
train_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='images/train2014', seg_map_path='annotations/train2014'))
)
val_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='images/test2014', seg_map_path='annotations/test2014'))
)
