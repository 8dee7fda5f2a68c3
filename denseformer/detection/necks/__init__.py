"""Feature pyramids of published detectors, on the parts of mmcv and mmdetection."""

from denseformer.detection.necks.attfpn import AttFPN
from denseformer.detection.necks.coarsest import ChannelMapper, CSPNeXtPAFPN
from denseformer.detection.necks.mamba_yolo import MambaYOLOPAFPN
from denseformer.detection.necks.rcfpn import RCFPN

__all__ = ['RCFPN', 'AttFPN', 'CSPNeXtPAFPN', 'ChannelMapper', 'MambaYOLOPAFPN']
