# EoMT's recipe on COCO's instances: 12 epochs of 7330 steps, and another image takes the place of one without things.
_base_ = './eomt_coco.py'
max_iters = 87_960
redraw_empty = True
