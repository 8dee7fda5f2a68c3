# The things of the sample set, which is drawn at first use: 240 training and 60 validation images of 160 x 160.
_base_ = './parts/instances.py'
data_root = 'data/sample'
num_classes = 5
image_scale = (160, 160)
batch_size = 8
num_workers = 2
_dataset = dict(type='denseformer.SampleInstances', data_root='${data_root}')
train_dataloader = dict(
    dataset=dict(**_dataset, ann_file='instances_training.json', data_prefix=dict(img='images/training'))
)
val_dataloader = dict(
    dataset=dict(**_dataset, ann_file='instances_validation.json', data_prefix=dict(img='images/validation'))
)
