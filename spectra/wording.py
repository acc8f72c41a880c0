"""How a value that cannot be used is named: key, value, what is allowed, the nearest valid name; on one line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from .errors import ConfigError


def refusal(path: str, value: object, requirement: str, names: Sequence[str] = ()) -> ConfigError:
    """Error of one line: key, value, what is allowed, nearest valid name."""
    hint = nearest(value, names) if isinstance(value, str) else ""
    return ConfigError(f"`{path} = {shown(value)}`: {requirement}{hint}.")


def nearest(name: str, names: Sequence[str]) -> str:
    """Return ` (did you mean "…"?)`, or nothing where no name is near."""
    folded = {known.casefold(): known for known in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return f' (did you mean "{folded[close[0]]}"?)' if close else ""


def shown(value: object) -> str:
    """Value as the file would write it, on one line and not longer than a line."""
    text = _toml(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\n", "\\n") + '"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return " ".join(repr(value).split())
