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

if TYPE_CHECKING:
    from ..network.config import LayerSpec, Network

_FORMAT = 1
_KEY = "ensemble.json"
_PROBES = np.array([-1.9, -0.6, 0.4, 1.3])  # where activations are told apart


class Store:
    """Arrays of every network, of one description: DIR/ensemble.json, DIR/width-N/sample-i.npz.

    Every file is written whole (another name, then renamed): a run may be killed at any time, and two may share it.

    Parameters
    ----------
    path : the directory, made where there is none.
    key : what tells it from others, see `described`.
    width : the largest width.
    names : of the arrays that every network has.

    Raises
    ------
    ConfigError : it holds networks of another description, seed, precision or method, or is no store.
    OSError : it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], key: dict[str, Any], width: int, names: tuple[str, ...]) -> None:
        self._names = names
        path = os.fspath(path)
        self._folder = os.path.join(path, f"width-{width}")
        if os.path.exists(path) and not os.path.isdir(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        os.makedirs(path, exist_ok=True)
        key_path = os.path.join(path, _KEY)
        if not os.path.exists(key_path):
            write_whole({key_path: (json.dumps(key, indent=1) + "\n").encode()})
        else:
            _compare(path, key_path, key)
        os.makedirs(self._folder, exist_ok=True)
        if not os.access(self._folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), self._folder)

    def load(self, samples: int) -> dict[int, dict[str, np.ndarray]]:
        """The networks already there, of the first `samples`, by their index."""
        found = {}
        for index in range(samples):
            path = self._path(index)
            if os.path.exists(path):
                try:
                    # Opened here: numpy leaves a file that is no archive open.
                    with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                        found[index] = {name: arrays[name] for name in self._names}
                except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
                    raise ConfigError(f"`{path}`: not a sampled network; delete it to have it sampled again.") from None
        return found

    def save(self, index: int, arrays: dict[str, np.ndarray]) -> None:
        """Write one network."""
        content = io.BytesIO()
        kept: dict[str, Any] = {name: arrays[name] for name in self._names}
        np.savez(content, **kept)
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


def described(net: Network, specs: list[LayerSpec], **how: Any) -> dict[str, Any]:
    """What tells one ensemble from another, as JSON gives it back: the network and how it is sampled.

    Parameters
    ----------
    net, specs : what is sampled; `specs` with σ_w as numbers.
    how : seed, precision, method, ….
    """
    text = json.dumps(net.to_dict(), default=lambda thing: getattr(thing, "name", type(thing).__name__))
    # Two callables may have one name: values tell them apart.
    values = []
    for spec in dict.fromkeys(specs):
        values.append([*spec.activation(_PROBES).tolist(), *spec.activation.derivative(_PROBES).tolist()])
    return {"format": _FORMAT, "network": json.loads(text), "activation": values} | how
