"""Widths of the layers as they are sampled: those stated, scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..network.config import Network


def whole_number(name: str, value: Any, lowest: int) -> int:
    """Return `value` as an int of at least `lowest`; floats, booleans and strings are refused, not rounded."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ConfigError(f"`sample({name}={value!r})`: `{name}` must be an integer, not {type(value).__name__}.")
    if value < lowest:
        raise ConfigError(f"`sample({name}={value})`: `{name}` must be at least {lowest}.")
    return int(value)


def scaled_widths(net: Network, width: int | None) -> tuple[int, ...]:
    """N_0 … N_L with the largest set to `width` and the ratios kept; equal widths where the net states none."""
    if width is not None:
        width = whole_number("width", width, 1)
    stated = net.widths
    if stated is None:
        if width is None:
            raise ConfigError("`sample(width=None)`: the network states no width; give one, such as `width=500`.")
        stated = (width,) * (len(net.layers) + 1)
    each = [stated[0], *(n for n, spec in zip(stated[1:], net.layers, strict=True) for _ in range(spec.repeat))]
    largest = max(each)
    return tuple(each) if width is None else tuple(max(1, round(n * width / largest)) for n in each)
