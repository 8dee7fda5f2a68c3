# No training: for configs that score published weights.
val_interval = 1
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
