# For schedules that count epochs.
_base_ = './default.py'
log_processor = dict(by_epoch=True)
default_hooks = dict(logger=dict(log_metric_by_epoch=True), checkpoint=dict(by_epoch=True))
