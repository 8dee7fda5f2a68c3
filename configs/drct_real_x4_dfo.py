# The authors sharpen the targets of this stage, too, which it leaves out.
_base_ = [
    './_base_/networks/drct.py',
    './_base_/restorers/l1.py',
    './_base_/datasets/real_world.py',
    './_base_/schedules/adam_1m.py',
    './_base_/runtime/restoration_ema.py',
]
scale = 4
rotate = False
