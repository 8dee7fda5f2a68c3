_base_ = './mask2former_160k.py'
max_iters = 90_000
