# ISIC 2018, task 1: 2594 photographs of skin lesions, in the order of their names 1815 for training, 259 for validation and
# 520 for tests, 2 classes with the background.
_base_ = './parts/segmentation.py'
data_root = 'data/isic2018'
num_classes = 2
image_scale = (256, 256)
crop_size = (256, 256)
scale_range = (0.8, 1.25)
cat_max_ratio = 1.0
key_metric = 'mDice'
_images = dict(
    img_path='ISIC2018_Task1-2_Training_Input', seg_map_path='ISIC2018_Task1_Training_GroundTruth'
)
_dataset = dict(type='denseformer.ISICDataset', data_root='${data_root}', data_prefix=_images)
train_dataloader = dict(dataset=dict(**_dataset, indices=1815))
val_dataloader = dict(dataset=dict(**_dataset, indices=list(range(1815, 2074))))
test_dataloader = dict(
    _delete_=True,
    batch_size=1,
    num_workers='${num_workers}',
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**_dataset, indices=-520, pipeline='${test_pipeline}', test_mode=True),
)
val_evaluator = dict(iou_metrics=['mIoU', 'mDice'])
