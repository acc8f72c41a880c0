"""Singular values from elsewhere, such as those of a trained network, in the shape that sampled ones have."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..files import read_numbers
from ..network.config import Network
from .ensemble import Ensemble
from .widths import scaled_widths


def measured(net: Network, singular_values: Any) -> Ensemble:
    """Singular values of Jacobians of networks of the shape of `net`, one row for each.

    Parameters
    ----------
    net : the description they are held against; its widths, if it states them, are scaled to what was measured.
    singular_values : (samples, n) or (n,), n = min(N_0, N_L) of every Jacobian, in any order, zeros included.

    Returns
    -------
    Ensemble whose q and chi are NaN: no forward pass is known.

    Raises
    ------
    ConfigError : not real numbers ≥ 0 that are finite, or a number of them that no scaling of the widths gives.
    """
    try:
        values = np.atleast_2d(np.asarray(singular_values))
    except (ValueError, TypeError, RuntimeError) as error:  # a tensor on a device, or with a gradient, has its own
        raise ConfigError(f"`singular_values`: not an array ({error}).") from None
    if values.dtype.kind not in "iuf" or values.ndim != 2 or not values.size:
        raise ConfigError(
            f"`singular_values`: an array (samples, n) of real numbers is needed, not {values.dtype} {values.shape}."
        )
    values = values.astype(float)
    if not (np.isfinite(values).all() and values.min() >= 0.0):
        row, column = np.argwhere(~(np.isfinite(values) & (values >= 0.0)))[0]
        raise ConfigError(
            f"`singular_values[{row}, {column}] = {values[row, column]}`: every singular value must be finite and not "
            "negative."
        )
    widths = _widths_of(net, values.shape[1])
    with np.errstate(divide="ignore"):
        logs = -np.sort(-np.log(values), axis=1)
    unknown = np.full((len(values), len(widths) - 1), np.nan)
    return Ensemble(logs, unknown, unknown.copy(), widths, 0, net)


def read_singular_values(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in a .npy file, or in a text file with one Jacobian a line.

    Raises
    ------
    ConfigError : the file cannot be read, or holds no numbers.
    """
    try:
        return read_numbers(path)
    except OSError as error:
        raise ConfigError(f"`{os.fspath(path)}`: {error.strerror or error}.") from None
    except ValueError as error:
        raise ConfigError(f"`{os.fspath(path)}`: not an array of numbers ({error}).") from None


def _widths_of(net: Network, count: int) -> tuple[int, ...]:
    """N_0 … N_L of a Jacobian with so many singular values."""
    stated = net.widths
    if stated is None:
        return scaled_widths(net, count)
    largest, least = max(stated), min(stated[0], stated[-1])
    # The nearest scale, and those beside it, for widths are rounded.
    near = round(count * largest / least)
    for width in sorted(range(max(1, near - 3), near + 4), key=lambda n: abs(n - near)):
        widths = scaled_widths(net, width)
        if min(widths[0], widths[-1]) == count:
            return widths
    raise ConfigError(
        f"`singular_values`: {count} of them per Jacobian; the network's widths, scaled, give "
        f"{min(scaled_widths(net, near)[0], scaled_widths(net, near)[-1])} or so, one for every direction of the "
        "narrower end."
    )
