"""`get_activation`: names, tables of parameters and expressions to `Activation`. Imports neither sympy nor mpmath."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Mapping
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

from spectra.activations import _compiled
from spectra.activations.activation import Activation, Branch
from spectra.activations.definitions import ALIASES, BY_NAME, DEFINITIONS, Definition, Parameter, edges
from spectra.errors import ConfigError


def names() -> tuple[str, ...]:
    """Catalogue names, aliases left out."""
    return tuple(d.name for d in DEFINITIONS)


def get_activation(spec: str | Mapping[str, Any] | Activation) -> Activation:
    """Look up or build the activation φ that `spec` names.

    Specs read like "tanh", {"name": "leaky_relu", "negative_slope": 0.2} or {"expr": "tanh(x) + x/10"}.

    Parameters
    ----------
    spec : name or alias (torch's, case-blind, `-` as `_`), or a table with `name` and parameters (torch's names and
        defaults), or a table with `expr`; an `Activation` passes through.

    Returns
    -------
    Activation; the same object for the same spec.

    Raises
    ------
    ConfigError : unknown name, parameter or key, impossible value, expression outside the grammar.
    """
    if isinstance(spec, Activation):
        return spec
    if isinstance(spec, str):
        return _catalogue(_canonical(spec), ())
    if not isinstance(spec, Mapping):
        raise ConfigError(
            f"`activation = {spec!r}`: must be a name, or a table with `name` or `expr`, not {type(spec).__name__}."
        )
    table = dict(spec)
    if ("name" in table) == ("expr" in table):
        raise ConfigError(f"`activation = {table!r}`: give exactly one of the keys `name` and `expr`.")
    if "expr" in table:
        if extra := [key for key in table if key != "expr"]:
            raise ConfigError(
                f"`activation`: unknown key {extra[0]!r} beside `expr`; write numbers into the expression."
            )
        from spectra.activations.expression import from_expression

        return from_expression(table["expr"])
    name = _canonical(table.pop("name"))
    if name == "gelu" and "approximate" in table:
        name = _gelu(table.pop("approximate"))
    return _catalogue(name, _checked(BY_NAME[name], table))


def _canonical(name: Any) -> str:
    if not isinstance(name, str):
        raise ConfigError(f"`activation`: the name must be text, not {name!r}.")
    key = name.strip().lower().replace("-", "_").replace(" ", "_")
    if key in ALIASES:
        return ALIASES[key]
    # hard_tanh and hardtanh alike: nearest also without underscores
    bare = {alias.replace("_", ""): alias for alias in ALIASES}
    near = difflib.get_close_matches(key, ALIASES, n=1, cutoff=0.5) or [
        bare[b] for b in difflib.get_close_matches(key.replace("_", ""), bare, n=1, cutoff=0.5)
    ]
    hint = f"did you mean {ALIASES[near[0]]!r}? " if near else ""
    if "x" in key and "(" in key:
        hint = 'an expression is written {expr = "…"}; '
    raise ConfigError(f"`activation = {name!r}`: unknown; {hint}allowed: {', '.join(names())}.")


def _gelu(approximate: Any) -> str:
    if approximate not in ("none", "tanh"):
        raise ConfigError(f'`gelu`: `approximate = {approximate!r}` must be "none" or "tanh".')
    return "gelu_tanh" if approximate == "tanh" else "gelu"


def _checked(definition: Definition, table: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """Given parameters as sorted (name, float) pairs, each known and possible."""
    known = {q.name: q for q in definition.parameters}
    given: dict[str, float] = {}
    for key, value in table.items():
        if key in definition.ignored:
            continue
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.4)
            allowed = ", ".join(known) or "it has none"
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(f"`{definition.name}`: unknown parameter {key!r}; {hint}parameters: {allowed}.")
        given[str(key)] = _number(definition.name, known[key], value)
    values = {q.name: given.get(q.name, q.default) for q in definition.parameters}
    inner = edges(definition, values)
    if any(a >= b for a, b in pairwise(inner)):
        raise ConfigError(f"`{definition.name}`: {list(definition.edges)} must increase, but are {list(inner[1:-1])}.")
    return tuple(values.items())


def _number(activation: str, parameter: Parameter, value: Any) -> float:
    key = f"`{activation}`: `{parameter.name} = {value!r}`"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ConfigError(f"{key} must be a number.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ConfigError(f"{key} must be finite.")
    if parameter.requirement == "positive" and number <= 0.0:
        raise ConfigError(f"{key} must be positive.")
    if parameter.requirement == "nonzero" and number == 0.0:
        raise ConfigError(f'{key} must not be zero; for zero use "relu".')
    return number


@lru_cache(maxsize=512)
def _catalogue(name: str, parameters: tuple[tuple[str, float], ...]) -> Activation:
    definition = BY_NAME[name]
    values = {q.name: q.default for q in definition.parameters} | dict(parameters)
    if len(parameters) != len(values):
        return _catalogue(name, tuple(values.items()))
    ends = edges(definition, values)
    branches = []
    for lower, upper, row in zip(ends[:-1], ends[1:], _compiled.TABLE[name], strict=True):
        value, slope, curvature, constant, turning = row
        if values:
            value, slope, curvature = (_bound(f, values) for f in (value, slope, curvature))
        constant_slope = float(slope(0.0)) if constant else None
        branches.append(Branch(lower, upper, value, slope, curvature, constant_slope, turning))
    even, bound = definition.even_slope, definition.slope_bound
    return Activation(
        name=name,
        parameters=tuple(values.items()),
        branches=tuple(branches),
        kinks=ends[1:-1],
        even_slope=even(**values) if callable(even) else even,
        slope_period=definition.slope_period,
        slope_bound=bound(**values) if callable(bound) else _compiled.SLOPE_BOUND[name],
        source="catalogue",
    )


def _bound(function: Any, values: Mapping[str, float]) -> Any:
    """Parameters put into `function`; shared primitives (0, 1, x) take none."""
    return function if function.__name__ in ("zero", "one", "copy") else partial(function, **values)
