"""mmcv's operators are asked for as a user of mmdetection asks for them, after `import denseformer`."""

import denseformer  # noqa: F401
