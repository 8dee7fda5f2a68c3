# The sample set that comes with the project: drawn at first use, 240 training and 60 validation images of 160 x 160.
_base_ = './parts/segmentation.py'
data_root = 'data/sample'
num_classes = 8
image_scale = (160, 160)
crop_size = (128, 128)
scale_range = (0.8, 1.25)
batch_size = 4
num_workers = 2
train_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(type='denseformer.LoadSegmentation', num_classes='${num_classes}'),
    dict(type='RandomResize', scale='${image_scale}', ratio_range='${scale_range}', keep_ratio=True),
    dict(type='RandomCrop', crop_size='${crop_size}', cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
_dataset = dict(type='denseformer.SampleDataset', data_root='${data_root}')
train_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'))
)
val_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'))
)
