# White Gaussian noise of standard deviation sigma, of 255, never clipped. Trained on DFWB, four folders in one: DIV2K,
# Flickr2K, BSD500 and WED. Each test image gets the same noise, drawn from seed 0, as is usual.
_base_ = './parts/same_size.py'
batch_size, base_batch_size = 1, 8  # per GPU, on all
train_degradation = dict(type='denseformer.AddGaussianNoise', sigma='${sigma}')
test_degradation = dict(type='denseformer.AddGaussianNoise', sigma='${sigma}', seed=0)
