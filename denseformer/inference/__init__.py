"""Predicting on images, from Python and from the command line."""

from denseformer.inference.predictor import Predictor
from denseformer.inference.results import RestorationResult, SegmentationResult
from denseformer.inference.run import predict_folder

__all__ = ['Predictor', 'RestorationResult', 'SegmentationResult', 'predict_folder']
