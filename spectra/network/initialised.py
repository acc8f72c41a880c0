"""An `init` in a table of layers becomes `weights`, `sigma_w` and `sigma_b`, layer by layer, by the fans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..inits.translation import INITS, as_table, scales
from .schema import refusal, shown

_DECIDED = ("weights", "sigma_w", "q_star")


def translated(tables: list[tuple[dict[str, Any], str]], given: Mapping[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """The tables without `init`; a run whose first layer changes the width becomes two.

    Raises
    ------
    ConfigError : `init` beside a key that it decides, or one that depends on a width that is not stated.
    """
    if not any("init" in table for table, _ in tables):
        return tables
    widths = [table.get("width") for table, _ in tables]
    known = all(width is not None for width in widths)
    fan_in = given.get("input_width", given.get("width", widths[0] if len(set(widths)) == 1 else None))
    result = []
    for (table, path), width in zip(tables, widths, strict=True):
        if "init" not in table:
            result.append((table, path))
        else:
            result += [(part, path) for part in _runs(table, path, fan_in if known else None, width if known else None)]
        fan_in = width
    return result


def kind_of(init: str | Mapping[str, Any]) -> str:
    """Kind of weights of an initialisation."""
    return INITS[as_table(init)["name"]][1]


def _runs(table: dict[str, Any], path: str, fan_in: int | None, width: int | None) -> list[dict[str, Any]]:
    for key in _DECIDED:
        if key in table:
            raise refusal(
                f"{path}{key}", table[key], f"must be left out with `init = {shown(table['init'])}`: it decides"
            )
    repeat = table.get("repeat", 1)
    parts = [(fan_in, 1), (width, repeat - 1)] if fan_in != width else [(width, repeat)]
    return [_one(table, path, before, width, count) for before, count in parts if count]


def _one(table: dict[str, Any], path: str, fan_in: int | None, width: int | None, repeat: int) -> dict[str, Any]:
    found = scales(table["init"], fan_in, width, path)
    rest = {key: value for key, value in table.items() if key != "init"}
    biases = {} if found.sigma_b is None or "sigma_b" in table else {"sigma_b": found.sigma_b}
    return rest | biases | {"weights": found.weights, "sigma_w": found.sigma_w, "repeat": repeat}
