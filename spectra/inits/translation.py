"""Initialisations as people write them, translated to σ_w and σ_b of a layer: Var W = σ_w²/fan_in, Var b = σ_b².

With n_in, n_out the fans and g the gain:

  xavier    Var W = 2 g²/(n_in + n_out)               σ_w² = 2 g² n_in/(n_in + n_out)
  kaiming   Var W = g²/n_in, mode fan_out: g²/n_out    σ_w² = g², or g² n_in/n_out
  lecun     Var W = g²/n_in                            σ_w² = g²
  orthogonal  WWᵀ or WᵀW = g² 1                        σ_w² = g², or g² n_in/n_out where the layer widens
  torch_default  Var W = Var b = 1/(3 n_in)            σ_w² = 1/3, σ_b² = 1/(3 n_in)
  normal, uniform  Var W = std², bound²/3              σ_w² = n_in std², n_in bound²/3
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from ..wording import nearest, refusal
from .gains import calculate_gain

# Name -> the keys that go with it, and the kind of weights.
_SCALED = ("gain", "nonlinearity", "negative_slope")
INITS: dict[str, tuple[tuple[str, ...], str]] = {
    "xavier_uniform": (_SCALED, "uniform"),
    "xavier_normal": (_SCALED, "gaussian"),
    "kaiming_uniform": (("mode", *_SCALED), "uniform"),
    "kaiming_normal": (("mode", *_SCALED), "gaussian"),
    "lecun_normal": (("gain",), "gaussian"),
    "orthogonal": (_SCALED, "orthogonal"),
    "torch_default": ((), "uniform"),
    "normal": (("std",), "gaussian"),
    "uniform": (("bound",), "uniform"),
}


@dataclass(frozen=True)
class Scales:
    """What an initialisation makes of one layer.

    Parameters
    ----------
    weights : kind of weights.
    sigma_w : σ_w.
    sigma_b : σ_b, None where the initialisation leaves biases alone.
    """

    weights: str
    sigma_w: float
    sigma_b: float | None = None


def as_table(init: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """An initialisation as a table, whichever way it was written."""
    return {"name": init} if isinstance(init, str) else init


def gain_of(init: Mapping[str, Any]) -> float:
    """The gain: as given, or of the nonlinearity, or the default: √2 for kaiming (leaky_relu of slope 0), else 1."""
    if "gain" in init:
        return float(init["gain"])
    kaiming = init["name"].startswith("kaiming")
    if "nonlinearity" not in init and not kaiming:
        return 1.0
    nonlinearity = init.get("nonlinearity", "leaky_relu")
    slope = init.get("negative_slope", 0.0 if kaiming else None)
    return calculate_gain(nonlinearity, slope)


def scales(init: str | Mapping[str, Any], fan_in: int | None, fan_out: int | None, path: str = "") -> Scales:
    """σ_w and σ_b of a layer of N_out × N_in weights under an initialisation.

    Parameters
    ----------
    init : a name, or a table with `name` and the keys that go with it, each checked on its own.
    fan_in, fan_out : the shape; None, both, where no widths are stated: then a square layer of any size.
    path : what messages begin with.

    Raises
    ------
    ConfigError : keys that do not go together, or an initialisation that depends on a width that is not stated.

    Source
    ------
    Glorot, Bengio, AISTATS 2010, eq. 12, 16; He et al., ICCV 2015, eq. 10, 14; torch.nn.init, torch.nn.Linear.
    """
    init = as_table(init)
    name = init["name"]
    _check(init, path)
    ratio = 1.0 if fan_in is None or fan_out is None else fan_in / fan_out
    kind = INITS[name][1]
    if name in ("torch_default", "normal", "uniform"):
        if fan_in is None:
            raise refusal(f"{path}init", name, f"depends on the width ({_WHY[name]}); state `width`")
        if name == "torch_default":
            return Scales(kind, math.sqrt(1.0 / 3.0), math.sqrt(1.0 / (3.0 * fan_in)))
        spread = init["std"] if name == "normal" else init["bound"] / math.sqrt(3.0)
        return Scales(kind, math.sqrt(fan_in) * spread)
    gain = gain_of(init)
    if name.startswith("xavier"):
        return Scales(kind, gain * math.sqrt(2.0 * ratio / (1.0 + ratio)))
    if name.startswith("kaiming"):
        return Scales(kind, gain * (math.sqrt(ratio) if init.get("mode", "fan_in") == "fan_out" else 1.0))
    if name == "orthogonal":
        return Scales(kind, gain * math.sqrt(min(ratio, 1.0)))
    return Scales(kind, gain)


_WHY = {
    "torch_default": "its biases have variance 1/(3 fan_in)",
    "normal": "σ_w² = fan_in std²",
    "uniform": "σ_w² = fan_in bound²/3",
}


def _check(init: Mapping[str, Any], path: str) -> None:
    """Keys that go with the name, and with each other."""
    name = init["name"]
    allowed = INITS[name][0]
    for key in init:
        if key != "name" and key not in allowed:
            listed = ", ".join(allowed) or "nothing else"
            hint = nearest(key, allowed)
            raise refusal(f"{path}init.{key}", init[key], f'does not go with "{name}"{hint}; with it goes {listed}')
    if "gain" in init and "nonlinearity" in init:
        raise refusal(f"{path}init.gain", init["gain"], "give `gain` or `nonlinearity`, not both")
    if "negative_slope" in init:
        kaiming = name.startswith("kaiming")
        if "gain" in init or init.get("nonlinearity", "leaky_relu" if kaiming else "") != "leaky_relu":
            raise refusal(
                f"{path}init.negative_slope", init["negative_slope"], 'goes only with `nonlinearity = "leaky_relu"`'
            )
    for key in ("std", "bound"):
        if key in allowed and key not in init:
            raise ConfigError(f"`{path}init.{key}`: missing; `{name}` needs it, a positive number.")
