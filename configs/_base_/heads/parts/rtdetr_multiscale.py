# RT-DETR as its authors train it: each batch is resized to a square of 480 to 800 pixels.
_base_ = '../rtdetr.py'
multiscale = [dict(type='BatchSyncRandomResize', random_size_range=(480, 800), size_divisor=32, interval=1)]
