# Pascal VOC 2007 + 2012: 16551 training photographs (trainval of both) and 4952 for validation (2007's test), 20 classes.
_base_ = './parts/boxes.py'
data_root = 'data/VOCdevkit'
num_classes = 20
image_scale = (1000, 600)
key_metric = 'mAP'
_2007, _2012 = (
    dict(type='denseformer.VOCDataset', data_root='${data_root}', data_prefix=dict(sub_data_root=f'VOC{year}'))
    for year in (2007, 2012)
)
_train = dict(pipeline='${train_pipeline}', filter_cfg=dict(filter_empty_gt=True, min_size=32))
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        ignore_keys=['dataset_type'],
        datasets=[
            dict(**_2007, **_train, ann_file='VOC2007/ImageSets/Main/trainval.txt'),
            dict(**_2012, **_train, ann_file='VOC2012/ImageSets/Main/trainval.txt'),
        ],
    )
)
val_dataloader = dict(dataset=dict(**_2007, ann_file='VOC2007/ImageSets/Main/test.txt'))
val_evaluator = dict(_delete_=True, type='denseformer.VOCMetric', eval_mode='11points')
