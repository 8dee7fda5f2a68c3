"""Backbones: one family per file, all behind the contract of `base`."""

from denseformer.backbones.agent import AgentPVT, AgentSwin
from denseformer.backbones.base import Backbone
from denseformer.backbones.biformer import BiFormer
from denseformer.backbones.convnext import ConvNeXt
from denseformer.backbones.crossformer import CrossFormer
from denseformer.backbones.cswin import CSWin
from denseformer.backbones.cvt import CvT
from denseformer.backbones.davit import DaViT
from denseformer.backbones.dinat import NAT, DiNAT, DiNATs
from denseformer.backbones.favit import FaViT
from denseformer.backbones.fcaformer import FcaFormer
from denseformer.backbones.ffnet import FFNet
from denseformer.backbones.focalnet import FocalNet
from denseformer.backbones.gcvit import GCViT
from denseformer.backbones.halonet import HaloNet
from denseformer.backbones.hornet import HorNet
from denseformer.backbones.inline import InLinePVT, InLineSwin
from denseformer.backbones.l2vit import L2ViT
from denseformer.backbones.maxvit import MaxViT
from denseformer.backbones.poolformer import PoolFormer
from denseformer.backbones.ppma import PPMA
from denseformer.backbones.rmt import RMT
from denseformer.backbones.sgformer import SGFormer
from denseformer.backbones.soft import SOFT
from denseformer.backbones.spectformer import SpectFormer
from denseformer.backbones.stvit import STViT
from denseformer.backbones.svt import SVT
from denseformer.backbones.swin import Swin
from denseformer.backbones.swinv2 import SwinV2
from denseformer.backbones.transnext import TransNeXt
from denseformer.backbones.uniformer import UniFormer
from denseformer.backbones.van import VAN
from denseformer.backbones.volo import VOLO

__all__ = [
    'NAT',
    'PPMA',
    'RMT',
    'SOFT',
    'SVT',
    'VAN',
    'VOLO',
    'AgentPVT',
    'AgentSwin',
    'Backbone',
    'BiFormer',
    'CSWin',
    'ConvNeXt',
    'CrossFormer',
    'CvT',
    'DaViT',
    'DiNAT',
    'DiNATs',
    'FFNet',
    'FaViT',
    'FcaFormer',
    'FocalNet',
    'GCViT',
    'HaloNet',
    'HorNet',
    'InLinePVT',
    'InLineSwin',
    'L2ViT',
    'MaxViT',
    'PoolFormer',
    'SGFormer',
    'STViT',
    'SpectFormer',
    'Swin',
    'SwinV2',
    'TransNeXt',
    'UniFormer',
]
