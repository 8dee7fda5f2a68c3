"""Backbones: one family per file, all behind the contract of `base`."""

from denseformer.backbones.agent import AgentPVT, AgentSwin
from denseformer.backbones.base import Backbone
from denseformer.backbones.biformer import BiFormer
from denseformer.backbones.casvit import CASViT
from denseformer.backbones.convnext import ConvNeXt
from denseformer.backbones.crossformer import CrossFormer
from denseformer.backbones.cswin import CSWin
from denseformer.backbones.davit import DaViT
from denseformer.backbones.dinat import NAT, DiNAT, DiNATs
from denseformer.backbones.efficientvit import EfficientViT
from denseformer.backbones.favit import FaViT
from denseformer.backbones.fcaformer import FcaFormer
from denseformer.backbones.ffnet import FFNet
from denseformer.backbones.focalnet import FocalNet
from denseformer.backbones.gcvit import GCViT
from denseformer.backbones.halonet import HaloNet
from denseformer.backbones.hornet import HorNet
from denseformer.backbones.inline import InLinePVT, InLineSwin
from denseformer.backbones.l2vit import L2ViT
from denseformer.backbones.lsnet import LSNet
from denseformer.backbones.maxvit import MaxViT
from denseformer.backbones.poolformer import PoolFormer
from denseformer.backbones.ppma import PPMA
from denseformer.backbones.rmt import RMT
from denseformer.backbones.sgformer import SGFormer
from denseformer.backbones.shvit import SHViT
from denseformer.backbones.soft import SOFT
from denseformer.backbones.stvit import STViT
from denseformer.backbones.swin import Swin
from denseformer.backbones.swinv2 import SwinV2
from denseformer.backbones.transnext import TransNeXt
from denseformer.backbones.uniformer import UniFormer
from denseformer.backbones.van import VAN

__all__ = [
    'NAT',
    'PPMA',
    'RMT',
    'SOFT',
    'VAN',
    'AgentPVT',
    'AgentSwin',
    'Backbone',
    'BiFormer',
    'CASViT',
    'CSWin',
    'ConvNeXt',
    'CrossFormer',
    'DaViT',
    'DiNAT',
    'DiNATs',
    'EfficientViT',
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
    'LSNet',
    'MaxViT',
    'PoolFormer',
    'SGFormer',
    'SHViT',
    'STViT',
    'Swin',
    'SwinV2',
    'TransNeXt',
    'UniFormer',
]
