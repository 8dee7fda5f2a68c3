# ISIC 2018, task 1: 2594 photographs of moles, the first 1815 of them for training and the last 520 for tests, as
# Att-SwinU-Net's authors take them; 2 classes.
_base_ = './parts/segmentation.py'
data_root = 'data/isic2018'
num_classes = 2
image_scale = (224, 224)
crop_size = (224, 224)
scale_range = (0.8, 1.25)
cat_max_ratio = 1.0
key_metric = 'mDice'
_dataset = dict(
    type='denseformer.ISICDataset',
    data_root='${data_root}',
    data_prefix=dict(
        img_path='ISIC2018_Task1-2_Training_Input', seg_map_path='ISIC2018_Task1_Training_GroundTruth'
    ),
)
train_dataloader = dict(dataset=dict(**_dataset, indices=list(range(1815))))
val_dataloader = dict(dataset=dict(**_dataset, indices=list(range(2074, 2594))))
val_evaluator = dict(iou_metrics=['mDice'], left_out=['skin'])
