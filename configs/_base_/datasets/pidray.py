# PIDray: X-ray images of baggage, 29457 for training and 18220 for tests in three parts, 12 classes of prohibited items.
# Training is validated on the hard part; a test scores each part, and their mean.
_base_ = './parts/instances.py'
data_root = 'data/pidray'
classes = (
    'Baton', 'Pliers', 'Hammer', 'Powerbank', 'Scissors', 'Wrench',
    'Gun', 'Bullet', 'Sprayer', 'HandCuffs', 'Knife', 'Lighter',
)  # fmt: skip
num_classes = len(classes)
image_scale = (500, 500)
_dataset = dict(type='denseformer.CocoDataset', data_root='${data_root}', metainfo=dict(classes='${classes}'))
_parts = {part: f'annotations/xray_test_{part}.json' for part in ('easy', 'hard', 'hidden')}
train_dataloader = dict(dataset=dict(**_dataset, ann_file='annotations/xray_train.json', data_prefix=dict(img='train')))
val_dataloader = dict(dataset=dict(**_dataset, ann_file=_parts['hard'], data_prefix=dict(img='hard')))
test_dataloader = dict(
    _delete_=True,
    batch_size=1,
    num_workers='${num_workers}',
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(**_dataset, ann_file=file, data_prefix=dict(img=part), pipeline='${test_pipeline}', test_mode=True)
            for part, file in _parts.items()
        ],
    ),
)
test_evaluator = dict(
    _delete_=True, type='denseformer.CocoPartsMetric', data_root='${data_root}', parts=_parts, metric='${scored}'
)
