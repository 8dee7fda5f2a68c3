# CHASE_DB1: 28 photographs of retinas, 999 x 960, 20 for training and 8 for validation, vessels and the background. Files
# as mmsegmentation converts them.
_base_ = './parts/segmentation.py'
data_root = 'data/CHASE_DB1'
num_classes = 2
image_scale = (999, 960)
crop_size = (128, 128)
key_metric = 'mDice'
_dataset = dict(type='ChaseDB1Dataset', data_root='${data_root}')
train_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'))
)
val_dataloader = dict(
    dataset=dict(**_dataset, data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'))
)
val_evaluator = dict(iou_metrics=['mIoU', 'mDice'])
