"""Sampled networks on disk, a file each, so that a run that was killed goes on where it was."""

from __future__ import annotations

import errno
import io
import json
import os
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError
from ..files import write_whole
from .one import Sampled

if TYPE_CHECKING:
    from ..network.config import LayerSpec, Network

_FORMAT = 1
_KEY = "ensemble.json"
_PROBES = np.array([-1.9, -0.6, 0.4, 1.3])  # where activations are told apart


class Store:
    """Networks of one description, seed and precision: DIR/ensemble.json, DIR/width-N/sample-i.npz.

    Every file is written whole (another name, then renamed): a run may be killed at any time, and two may share it.

    Parameters
    ----------
    path : the directory, made where there is none.
    net, specs, seed : what is sampled; `specs` with σ_w as numbers.
    width : the largest width.
    dtype, method : how.

    Raises
    ------
    ConfigError : it holds networks of another description, seed, precision or method, or is no store.
    OSError : it cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        net: Network,
        specs: list[LayerSpec],
        width: int,
        seed: int,
        dtype: str,
        method: str,
    ) -> None:
        path = os.fspath(path)
        self._folder = os.path.join(path, f"width-{width}")
        if os.path.exists(path) and not os.path.isdir(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        os.makedirs(path, exist_ok=True)
        key_path, key = os.path.join(path, _KEY), _key(net, specs, seed, dtype, method)
        if not os.path.exists(key_path):
            write_whole({key_path: (json.dumps(key, indent=1) + "\n").encode()})
        else:
            _compare(path, key_path, key)
        os.makedirs(self._folder, exist_ok=True)
        if not os.access(self._folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), self._folder)

    def load(self, samples: int) -> dict[int, Sampled]:
        """The networks already there, of the first `samples`, by their index."""
        found = {}
        for index in range(samples):
            path = self._path(index)
            if os.path.exists(path):
                try:
                    with np.load(path, allow_pickle=False) as arrays:
                        found[index] = Sampled(arrays["log_singular_values"], arrays["q"], arrays["chi"])
                except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
                    raise ConfigError(f"`{path}`: not a sampled network; delete it to have it sampled again.") from None
        return found

    def save(self, index: int, sampled: Sampled) -> None:
        """Write one network."""
        content = io.BytesIO()
        np.savez(content, log_singular_values=sampled.log_singular_values, q=sampled.q, chi=sampled.chi)
        write_whole({self._path(index): content.getvalue()})

    def _path(self, index: int) -> str:
        return os.path.join(self._folder, f"sample-{index:06d}.npz")


def _compare(path: str, key_path: str, key: dict[str, Any]) -> None:
    """Raise where the key on disk is another one."""
    try:
        with open(key_path, encoding="utf-8") as stream:
            found = json.load(stream)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigError(f"`{key_path}`: not that of a store of sampled networks; choose another directory.")
    for name, value in key.items():
        if found.get(name) != value:
            raise ConfigError(
                f"`{path}`: holds networks of another {name}; choose another directory, or delete this one."
            )


def _key(net: Network, specs: list[LayerSpec], seed: int, dtype: str, method: str) -> dict[str, Any]:
    """What tells one ensemble from another, as JSON gives it back."""
    described = json.dumps(net.to_dict(), default=lambda thing: getattr(thing, "name", type(thing).__name__))
    # Two callables may have one name: values tell them apart.
    values = []
    for spec in dict.fromkeys(specs):
        values.append([*spec.activation(_PROBES).tolist(), *spec.activation.derivative(_PROBES).tolist()])
    return {
        "format": _FORMAT,
        "network": json.loads(described),
        "activation": values,
        "seed": seed,
        "dtype": dtype,
        "method": method,
    }
