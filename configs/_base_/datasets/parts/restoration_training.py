# What all restoration datasets share in training: endless batches. A dataset's base sets the images, train_images.
batch_size = 4  # per GPU
base_batch_size = 32  # on all GPUs: what the learning rate is for, and --auto-scale-lr goes by
train_dataloader = dict(
    batch_size='${batch_size}',
    num_workers='${num_workers}',
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset='${train_images}',
)
auto_scale_lr = dict(enable=False, base_batch_size='${base_batch_size}')
