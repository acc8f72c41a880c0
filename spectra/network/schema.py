"""What a network description may contain, in words: ranges, names, and one clear sentence for everything else."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigError

WEIGHTS = ("gaussian", "orthogonal", "uniform", "rademacher")
CRITICAL = "critical"
FIXED_POINT = "fixed-point"
KINDS = ("dense", "residual")
ORDERS = ("pre", "post")
# α of every residual block, from their number.
BY_DEPTH = "1/sqrt(depth)"
# mean_field lists one number a layer; ten million of them still fit in memory and in a file.
MAX_DEPTH = 10_000_000
MAX_WIDTH = 1_000_000_000
# Squares of scales must stay inside the range of doubles, with room for the activation's own scale.
MAX_SCALE = 1e100

# What a layer may give for itself or inherit from the top level.
SHARED_KEYS = ("activation", "weights", "sigma_w", "sigma_b", "q_star", "width", "kind", "alpha", "skip", "order")
_RANGE = f"{1 / MAX_SCALE:g} to {MAX_SCALE:g}"
_ALLOWED = {
    "depth": f"a whole number from 1 to {MAX_DEPTH:,}",
    "repeat": f"a whole number from 1 to {MAX_DEPTH:,}",
    "width": f"a whole number from 1 to {MAX_WIDTH:,}",
    "input_width": f"a whole number from 1 to {MAX_WIDTH:,}",
    "activation": 'a name such as "tanh", or a table {name = "leaky_relu", negative_slope = 0.2} or {expr = "tanh(x)"}',
    "weights": "one of " + ", ".join(f'"{name}"' for name in WEIGHTS),
    "sigma_w": f'a positive number ({_RANGE}), or "{CRITICAL}"',
    "sigma_b": f"0 or a positive number ({_RANGE})",
    "q_star": f"a positive number ({_RANGE})",
    "input_variance": f'a positive number ({_RANGE}), or "{FIXED_POINT}"',
    "layers": "a list of at least one [[layers]] table",
    "kind": "one of " + ", ".join(f'"{name}"' for name in KINDS),
    "alpha": f'a positive number ({_RANGE}), or "{BY_DEPTH}", where depth counts the residual blocks of the network',
    "skip": f"a positive number ({_RANGE})",
    "order": '"pre" for x ← βx + α(Wφ(x) + b), or "post" for x ← βx + αφ(Wx + b)',
}
# The names among the allowed values, for the nearest one.
NAMES: dict[str, tuple[str, ...]] = {
    "weights": WEIGHTS,
    "sigma_w": (CRITICAL,),
    "input_variance": (FIXED_POINT,),
    "kind": KINDS,
    "alpha": (BY_DEPTH,),
    "order": ORDERS,
}


def allowed(key: str) -> str:
    """Sentence on what may stand under a key."""
    text = _ALLOWED[key]
    return text if text.startswith("must") else f"must be {text}"


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


def plain(value: Any) -> Any:
    """Copy with mappings as dicts, sequences as lists and numpy scalars as Python numbers; anything else as it is."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    # numpy is not needed to know its scalars: they alone carry both `dtype` and `item` without a length.
    if hasattr(value, "dtype") and hasattr(value, "item") and getattr(value, "shape", None) == ():
        return value.item()
    return value
