# Fashionpedia: 45623 training and 1158 validation photographs of people, 46 classes of garments, accessories and their
# parts, 294 attributes. The best checkpoint is that of AP_IoU+F1.
_base_ = './parts/instances.py'
data_root = 'data/fashionpedia'
num_classes, num_attributes = 46, 294
image_scale = (1333, 800)
key_metric = 'segm_mAP_f1'
_dataset = dict(type='denseformer.FashionpediaDataset', data_root='${data_root}')
train_pipeline = [
    dict(type='denseformer.LoadImage'),
    dict(type='denseformer.LoadInstances', with_mask='${with_mask}'),
    dict(type='denseformer.LoadAttributes', num_attributes='${num_attributes}'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomChoice', transforms='${augmentation}'),
    dict(type='denseformer.PackAttributes'),
]
train_dataloader = dict(
    dataset=dict(**_dataset, ann_file='instances_attributes_train2020.json', data_prefix=dict(img='train'))
)
val_dataloader = dict(
    dataset=dict(**_dataset, ann_file='instances_attributes_val2020.json', data_prefix=dict(img='test'))
)
val_evaluator = dict(
    type='denseformer.AttributeMetric',
    described=[  # the classes whose attributes Fashionpedia scores
        'shirt, blouse', 'top, t-shirt, sweatshirt', 'sweater', 'cardigan', 'jacket', 'vest', 'pants', 'shorts',
        'skirt', 'coat', 'dress', 'jumpsuit', 'cape', 'collar', 'lapel', 'sleeve', 'pocket', 'neckline',
    ],
)  # fmt: skip
