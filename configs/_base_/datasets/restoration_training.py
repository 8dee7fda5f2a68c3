# What all restoration data sets share in training: endless batches. A data set's base sets the images, train_images.
batch_size = 4  # per GPU
train_dataloader = dict(
    batch_size='${batch_size}',
    num_workers='${num_workers}',
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset='${train_images}',
)
