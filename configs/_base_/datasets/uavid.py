# UAVid: 200 training and 70 validation frames seen from the air, up to 4096 x 2160, 8 classes, color masks. Frames are
# tested in tiles.
_base_ = './parts/segmentation.py'
data_root = 'data/uavid'
num_classes = 8
image_scale = (4096, 2160)
scale_range = (1.0, 1.0)
_dataset = dict(type='denseformer.UAVidDataset', data_root='${data_root}')
train_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='uavid_train', seg_map_path='uavid_train'))
)
val_dataloader = dict(dataset=dict(**_dataset, data_prefix=dict(img_path='uavid_val', seg_map_path='uavid_val')))
