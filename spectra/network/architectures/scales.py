"""Scales of residual blocks that differ from block to block, or depend on how many there are."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import ConfigError
from ...wording import refusal
from ..schema import NAMES, allowed

# α of block l of L, l = 1, 2, …, times the number before the slash.
RATES: dict[str, Callable[[int, int], float]] = {
    "sqrt(depth)": lambda _, depth: 1.0 / math.sqrt(depth),
    "depth": lambda _, depth: 1.0 / depth,
    "sqrt(l)": lambda l, _: 1.0 / math.sqrt(l),  # noqa: E741  # the field's letter
    # Log 1 = 0: the first block counts as the second.
    "(sqrt(l)log(l))": lambda l, _: 1.0 / (math.sqrt(l + 1.0) * math.log(l + 1.0)),  # noqa: E741
}
ALIKE = ("sqrt(depth)", "depth")
# Blocks with a scale each, at most.
MOST = 10_000
_TEXT = re.compile(r"(\d+(?:\.\d*)?(?:e[+-]?\d+)?)/(.+)", re.IGNORECASE)


def spread(table: Mapping[str, Any], path: str, first: int, count: int) -> list[dict[str, Any]]:
    """The table as one for every scale that differs, `alpha` a number in each.

    Parameters
    ----------
    table : complete keys of a run of layers.
    path : what messages about it start with.
    first, count : blocks of its kind before it, and in the whole network.

    Raises
    ------
    ConfigError : text that is none of `RATES`, a list that is not as long as the run, too many different scales.
    """
    alpha, repeat = table.get("alpha"), table.get("repeat", 1)
    if isinstance(alpha, str):
        before, rate = _parsed(alpha, path)
        if rate in ALIKE:
            return [dict(table) | {"alpha": before * RATES[rate](1, count)}]
        _refuse_many(alpha, repeat, path)
        scales = [before * RATES[rate](first + k + 1, count) for k in range(repeat)]
    elif isinstance(alpha, list):
        if len(alpha) != repeat:
            key = "depth" if not path else "repeat"
            raise refusal(
                f"{path}alpha", alpha, f"must have as many numbers as there are blocks, here `{key}` = {repeat}"
            )
        _refuse_many(alpha, repeat, path)
        scales = [float(x) for x in alpha]
    else:
        return [dict(table)]
    return [dict(table) | {"alpha": scale, "repeat": 1} for scale in scales]


def _parsed(text: str, path: str) -> tuple[float, str]:
    """The number, and what it is over."""
    found = _TEXT.fullmatch(re.sub(r"[\s*]", "", text))
    if found is None or found[2] not in RATES or not 1e-100 <= float(found[1]) <= 1e100:
        # A large L is the depth to most people.
        near = [name for name in NAMES["alpha"] if "depth" in name or "L" not in text]
        raise refusal(f"{path}alpha", text, allowed("alpha"), near)
    return float(found[1]), found[2]


def _refuse_many(alpha: Any, repeat: int, path: str) -> None:
    if repeat > MOST:
        shown = alpha if isinstance(alpha, str) else "[…]"
        raise ConfigError(
            f"`{path}alpha = {shown!r}`: scales of their own have {MOST:,} blocks at most; here {repeat:,}."
        )
