# How the pixels of an image enter a backbone: the mean and deviation of ImageNet's, R, G, B in 0 to 255.
image_mean = [123.675, 116.28, 103.53]
image_std = [58.395, 57.12, 57.375]
