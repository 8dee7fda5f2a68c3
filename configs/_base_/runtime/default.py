custom_imports = dict(imports=['denseformer'])
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
sync_bn = 'torch'  # BatchNorm is synchronised in distributed training
log_processor = dict(by_epoch=False)
log_level = 'INFO'
log_interval = 50
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval='${log_interval}', log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='denseformer.CheckpointHook', by_epoch=False, interval='${val_interval}', max_keep_ckpts=3, save_best='${key_metric}'
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    iteration_seed=dict(type='denseformer.IterationSeedHook'),
    auxiliary_losses=dict(type='denseformer.AuxiliaryLossHook'),
    nan_guard=dict(type='denseformer.NaNGuardHook', skip=0),
    preemption=dict(type='denseformer.PreemptionHook'),
    validation_loss=dict(type='denseformer.ValidationLossHook', images=500),
    progress=dict(type='denseformer.ProgressHook', images=8),
)
