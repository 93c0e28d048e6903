"""Networks known by name, each a function that returns one made of `nn`'s layers.

Images are (batch, height, width, channels), signals (batch, length, channels). What a
function returns is trained, saved and taken apart like any other model; each is short
enough to be read, and to be copied where another one is wanted.
"""

from .autoencoder import autoencoder
from .convnet import convnet
from .denoiser import denoiser
from .lenet import lenet5
from .resnet import resnet, resnet20
from .series import series_resnet
from .vgg import vgg

__all__ = [
    "autoencoder",
    "convnet",
    "denoiser",
    "lenet5",
    "resnet",
    "resnet20",
    "series_resnet",
    "vgg",
]
