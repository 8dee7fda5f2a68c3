_base_ = [
    './_base_/systems/paratranscnn.py',
    './_base_/datasets/synapse.py',
    './_base_/schedules/sgd_poly.py',
    './_base_/runtime/default.py',
]
backbone = dict(init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet34'))
batch_size = 4
max_iters = 83_000  # 150 epochs
auto_scale_lr = dict(base_batch_size=4)
published = dict(metric='Dice', value=83.86, HD95=15.86, source='HongkunSun/ParaTransCNN, README.md')
