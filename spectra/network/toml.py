"""Reading a configuration file, and changing single keys of what it says."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Tables of a TOML file.

    Raises
    ------
    ConfigError : the file cannot be read, or is not TOML (the message has the line).
    """
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror or error}).") from None
    except UnicodeDecodeError:
        raise ConfigError("not TOML: the file is not UTF-8 text.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {' '.join(str(error).split())}.") from None
    except RecursionError:
        raise ConfigError("not TOML that can be read: nested too deeply.") from None


def parse_change(text: str) -> tuple[str, Any]:
    """Key and value of `key=value`; the value is read as TOML, or else is the bare text; none at all is None.

    >>> parse_change("depth=9"), parse_change("weights=gaussian"), parse_change("layers.0.sigma_w=1.5")
    (('depth', 9), ('weights', 'gaussian'), ('layers.0.sigma_w', 1.5))
    """
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not key:
        raise ConfigError(f"`--set {text}`: must have the form key=value, for example depth=32.")
    if not value:
        return key, None
    try:
        table = tomllib.loads(f"value = {value}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return key, value
    # A line break in the text could start a second key: then it is text, not one value.
    return key, table["value"] if len(table) == 1 else value


def with_changes(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Copy of `tables` with dotted keys set, or taken out where the value is None.

    A number in a key counts layers from 0. Setting a parameter of an activation given by its name
    (`activation.negative_slope`) turns the name into a table.

    Raises
    ------
    ConfigError : a key that leads into something that is not a table, or to a layer that is not there.
    """
    result = _copied(tables)
    for key, value in changes.items():
        *parents, last = key.split(".")
        place: Any = result
        for depth, part in enumerate(parents):
            place = _inside(place, part, ".".join(parents[: depth + 1]), key)
        if isinstance(place, list):
            place, last = _inside(place, last, key, key), ""
        if not last or not isinstance(place, dict):
            raise ConfigError(f"`{key}`: does not name a single value; name a key, such as layers.0.width.")
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return result


def to_toml(tables: Mapping[str, Any]) -> str:
    """TOML text of a configuration, `[[layers]]` last; read back, it is the same.

    >>> print(to_toml({"depth": 2, "activation": {"name": "leaky_relu", "negative_slope": 0.2}}), end="")
    depth = 2
    activation = {name = "leaky_relu", negative_slope = 0.2}
    """
    lines = [f"{key} = {_toml(value)}" for key, value in tables.items() if key != "layers"]
    for layer in tables.get("layers", ()):
        lines += ["", "[[layers]]", *(f"{key} = {_toml(value)}" for key, value in layer.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    # The strings and booleans of JSON are TOML's; Python's shortest numbers are too.
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else repr(value)


def _inside(place: Any, part: str, path: str, key: str) -> Any:
    if isinstance(place, list):
        if not part.isdecimal() or int(part) >= len(place):
            raise ConfigError(f"`{key}`: there is no layer {part}; layers are counted 0 to {len(place) - 1}.")
        return place[int(part)]
    if part == "activation" and isinstance(place.get(part), str):
        place[part] = {"name": place[part]}
    if part not in place:
        raise ConfigError(f"`{key}`: there is no `{path}` in the configuration to set it in.")
    if not isinstance(place[part], dict | list):
        raise ConfigError(f"`{key}`: `{path}` is not a table.")
    return place[part]


def _copied(value: Any) -> Any:
    """Copy of dicts and lists; leaves (an activation object among them) are shared."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return value
