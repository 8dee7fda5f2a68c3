# The sample set that comes with the project: drawn at first use, 240 training and 60 validation images of 160 x 160.
_base_ = './segmentation.py'
data_root = 'data/sample'
num_classes = 8
image_scale = (160, 160)
crop_size = (128, 128)
batch_size = 8
num_workers = 2
_dataset = dict(type='denseformer.SampleDataset', data_root='${data_root}')
train_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'))
)
val_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'))
)
