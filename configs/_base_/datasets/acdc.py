# ACDC: hearts of 100 patients at two moments of a beat, in magnetic resonance, 70 for training, 10 for validation and 20
# for tests, 4 classes with the background.
_base_ = './parts/volumes.py'
data_root = 'data/acdc/training'
num_classes = 4
image_scale = (224, 224)
crop_size = (224, 224)
scale_range = (0.8, 1.25)
cat_max_ratio = 1.0
_dataset = dict(type='denseformer.ACDCDataset', data_root='${data_root}')
train_dataloader = dict(dataset=dict(**_dataset, split='train'))
val_dataloader = dict(dataset=dict(**_dataset, split='val'))
test_dataloader = dict(
    _delete_=True,
    batch_size=1,
    num_workers='${num_workers}',
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**_dataset, split='test', pipeline='${test_pipeline}', test_mode=True),
)
