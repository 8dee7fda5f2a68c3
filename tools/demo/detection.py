"""Detection on one small dataset: train, score boxes and masks, predict a folder. `make demo-detection` runs it."""

from pathlib import Path

from tools.demo.segmentation import train_score_and_predict

CONFIG = 'configs/mask_rcnn_dinat_nano_sample.py'
RUN = Path('work_dirs/demo_detection')


def demo() -> int:
    """Train Mask R-CNN with a small DiNAT on the sample set, score it, and draw what it finds."""
    return train_score_and_predict(CONFIG, RUN)


if __name__ == '__main__':
    raise SystemExit(demo())
