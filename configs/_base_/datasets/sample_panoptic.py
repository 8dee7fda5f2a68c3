# Things and stuff of the sample set, which is drawn at first use: 240 training and 60 validation images of 160 x 160.
_base_ = ['./parts/panoptic.py', './parts/cropping.py']
data_root = 'data/sample'
num_classes = 8
num_stuff = 3
image_scale = (160, 160)
crop_size = (128, 128)
scale_range = (0.8, 1.25)
distorted = 0.0
batch_size = 4
num_workers = 2
_dataset = dict(type='denseformer.SamplePanoptic', data_root='${data_root}')
train_dataloader = dict(
    dataset=dict(
        **_dataset,
        ann_file='panoptic_training.json',
        data_prefix=dict(img='images/training', seg='panoptic_training'),
    )
)
val_dataloader = dict(
    dataset=dict(
        **_dataset,
        ann_file='panoptic_validation.json',
        data_prefix=dict(img='images/validation', seg='panoptic_validation'),
    )
)
_things = dict(type='denseformer.CocoMetric', data_root='${data_root}', ann_file='instances_validation.json')
val_evaluator = ['${panoptic_quality}', _things]
