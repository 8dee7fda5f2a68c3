"""Detection on one small dataset: predict, train, score boxes and masks, predict. `make demo-detection` runs it."""

from pathlib import Path

from tools.demo.segmentation import train_score_and_predict

CONFIG = 'configs/mask_rcnn_dinat_nano_sample.py'
FINISHED = 'mask_rcnn_dinat_pico_sample'
RUN = Path('work_dirs/demo_detection')


def demo() -> int:
    """Draw what the finished Mask R-CNN finds; train a larger one on the sample set, score it, and draw with it."""
    return train_score_and_predict(CONFIG, RUN, FINISHED)


if __name__ == '__main__':
    raise SystemExit(demo())
