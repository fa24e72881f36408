"""PyTorch's own activation modules and functions, recognised with their parameters.

Only exact types are recognised: a subclass may compute anything. RReLU stands for its deterministic slope in eval mode.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from rgflow.errors import SettingError
from rgflow.numerics import piecewise
from rgflow.numerics.catalogue import BUILDERS, gelu_erf, gelu_tanh, softplus
from rgflow.numerics.pointwise import Activation

__all__ = ["recognised"]

_FUNCTIONS: dict[str, tuple[Callable[..., Any], ...]] = {
    "relu": (torch.relu, F.relu, torch.Tensor.relu, torch.relu_),
    "abs": (torch.abs, torch.absolute),
    "leaky_relu": (F.leaky_relu,),
    "elu": (F.elu,),
    "celu": (F.celu, torch.celu),
    "selu": (F.selu, torch.selu),
    "gelu": (F.gelu,),
    "silu": (F.silu,),
    "mish": (F.mish,),
    "hardswish": (F.hardswish,),
    "hardsigmoid": (F.hardsigmoid,),
    "hardtanh": (F.hardtanh,),
    "relu6": (F.relu6,),
    "tanh": (torch.tanh, F.tanh, torch.Tensor.tanh),
    "sigmoid": (torch.sigmoid, F.sigmoid, torch.special.expit, torch.Tensor.sigmoid),
    "softplus": (F.softplus,),
    "softsign": (F.softsign,),
    "logsigmoid": (F.logsigmoid,),
    "tanhshrink": (F.tanhshrink,),
    "erf": (torch.erf, torch.special.erf),
    "arctan": (torch.atan, torch.arctan),
    "sin": (torch.sin,),
    "cos": (torch.cos,),
    "sinh": (torch.sinh,),
    "exp": (torch.exp,),
    "square": (torch.square,),
    "sign": (torch.sign,),
}

_PLAIN: dict[type, str] = {
    nn.Identity: "identity",
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.SELU: "selu",
    nn.SiLU: "silu",
    nn.Mish: "mish",
    nn.Hardswish: "hardswish",
    nn.Hardsigmoid: "hardsigmoid",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
    nn.LogSigmoid: "logsigmoid",
    nn.Softsign: "softsign",
    nn.Tanhshrink: "tanhshrink",
}


def _prelu(module: nn.PReLU) -> Activation:
    slopes = module.weight.detach().double()
    if bool((slopes != slopes[0]).any()):
        raise SettingError(
            f"nn.PReLU has {len(slopes)} different slopes; one activation has one, so give each channel's own"
        )
    return piecewise.leaky_relu(float(slopes[0]))


_WITH_PARAMETERS: dict[type, Callable[[Any], Activation]] = {
    nn.LeakyReLU: lambda m: piecewise.leaky_relu(m.negative_slope),
    nn.PReLU: _prelu,
    nn.RReLU: lambda m: piecewise.leaky_relu(0.5 * (m.lower + m.upper)),
    nn.ELU: lambda m: piecewise.elu(m.alpha),
    nn.CELU: lambda m: piecewise.celu(m.alpha),
    nn.GELU: lambda m: gelu_tanh() if m.approximate == "tanh" else gelu_erf(),
    nn.Hardtanh: lambda m: piecewise.hardtanh(float(m.min_val), float(m.max_val)),
    nn.Threshold: lambda m: piecewise.threshold(float(m.threshold), float(m.value)),
    nn.Hardshrink: lambda m: piecewise.hardshrink(float(m.lambd)),
    nn.Softshrink: lambda m: piecewise.softshrink(float(m.lambd)),
    nn.Softplus: lambda m: softplus(float(m.beta)),
}


def recognised(function: Callable[..., Any]) -> Activation | None:
    """Return the activation that a PyTorch module or function stands for, or None if it is not one of PyTorch's own."""
    if isinstance(function, nn.Module):
        if type(function) in _PLAIN:
            return BUILDERS[_PLAIN[type(function)]]()
        build = _WITH_PARAMETERS.get(type(function))
        return None if build is None else build(function)
    for name, spellings in _FUNCTIONS.items():
        if any(function is spelling for spelling in spellings):
            return BUILDERS[name]()
    return None
