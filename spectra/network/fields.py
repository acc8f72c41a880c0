"""Keys and types of a network description, each checked on its own.

The only file that imports pydantic; imported when the first description is read, not by `import spectra`. What pydantic
reports is rewritten into a `ConfigError` of one line: key, value, what is allowed, nearest valid name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ..errors import ConfigError
from .normaliser import NORMALISATIONS
from .schema import (
    INITS,
    MAX_BATCH,
    MAX_BRANCH,
    MAX_DEPTH,
    MAX_SCALE,
    MAX_WIDTH,
    NAMES,
    allowed,
    nearest,
    plain,
    refusal,
    shown,
)

Count = Annotated[int, Field(ge=1, le=MAX_DEPTH)]
Size = Annotated[int, Field(ge=1, le=MAX_WIDTH)]
Scale = Annotated[float, Field(ge=1 / MAX_SCALE, le=MAX_SCALE, allow_inf_nan=False)]
ScaleOrZero = Annotated[float, Field(ge=0.0, le=MAX_SCALE, allow_inf_nan=False)]
Slope = Annotated[float, Field(ge=-MAX_SCALE, le=MAX_SCALE, allow_inf_nan=False)]


def _not_zero(value: float) -> float:
    if abs(value) < 1 / MAX_SCALE:
        raise ValueError("0")
    return value


InitName = Literal[
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "lecun_normal",
    "orthogonal",
    "torch_default",
    "normal",
    "uniform",
]


class Shared(BaseModel):
    """What a layer gives for itself or inherits."""

    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)
    activation: Any = None
    weights: Literal["gaussian", "orthogonal", "uniform", "rademacher"] | None = None
    sigma_w: Scale | Literal["critical"] | None = None
    sigma_b: ScaleOrZero | None = None
    q_star: Scale | None = None
    init: str | dict | None = None
    normalise: str | dict | None = None
    width: Size | None = None
    kind: Literal["dense", "residual"] | None = None
    alpha: Scale | str | Annotated[list[Scale], Field(min_length=1)] | None = None
    skip: Annotated[Slope, AfterValidator(_not_zero)] | None = None
    order: Literal["pre", "post", "sum"] | None = None
    branch_layers: Annotated[int, Field(ge=1, le=MAX_BRANCH)] | None = None


class Init(BaseModel):
    """An initialisation, where it is a table."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: InitName | None = None
    gain: Scale | None = None
    mode: Literal["fan_in", "fan_out"] | None = None
    nonlinearity: Literal["linear", "identity", "sigmoid", "tanh", "relu", "leaky_relu", "selu"] | None = None
    negative_slope: Slope | None = None
    std: Scale | None = None
    bound: Scale | None = None


class Normalise(BaseModel):
    """A normalisation, where it is a table."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: Literal["batch", "layer", "rms"] | None = None
    position: Literal["before", "after", "sum"] | None = None
    batch: Annotated[int, Field(ge=3, le=MAX_BATCH)] | None = None
    gain: Scale | None = None
    epsilon: ScaleOrZero | None = None


class Layer(Shared):
    """One [[layers]] table."""

    repeat: Count | None = None


class Description(Shared):
    """The top level."""

    depth: Count | None = None
    input_variance: Scale | Literal["fixed-point"] | None = None
    input_width: Size | None = None
    layers: Annotated[list[dict], Field(min_length=1)] | None = None


def checked(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return `raw` with every key and value checked on its own, None counted as left out.

    Returns
    -------
    Plain dict (layers: a list of dicts); floats where numbers are meant, activations untouched.

    Raises
    ------
    ConfigError : one line on the first thing that is wrong.
    """
    given = plain(raw)
    top = _checked(Description, given, "")
    if "layers" in top:
        # Those given, not those of `top`: its copy would have turned Activation objects into dicts.
        top["layers"] = [_checked(Layer, layer, f"layers.{i}.") for i, layer in enumerate(given["layers"])]
    return top


def _by_name(key: str, value: str | dict[str, Any], path: str) -> str | dict[str, Any]:
    """What has a name: the name alone, or a table with one, each key checked on its own."""
    model, names = _BY_NAME[key]
    if isinstance(value, str):
        if value not in names:
            raise refusal(path + key, value, allowed(key), names)
        return value
    table = _checked(model, value, f"{path}{key}.", f"{key}.")
    if "name" not in table:
        raise ConfigError(f"`{path}{key}.name`: missing; it {allowed(f'{key}.name')}.")
    return table


# Values that are a name, or a table with one.
_BY_NAME: dict[str, tuple[type[BaseModel], tuple[str, ...]]] = {
    "init": (Init, INITS),
    "normalise": (Normalise, NORMALISATIONS),
}


def _checked(model: type[BaseModel], raw: dict[str, Any], path: str, table: str = "") -> dict[str, Any]:
    """Keys and values that the model takes; `table`: the table they stand in, for what `schema` says of them."""
    given = {str(key): value for key, value in raw.items() if value is not None}
    known = list(model.model_fields)
    for key, value in given.items():
        if key not in known:
            raise ConfigError(
                f"`{path}{key} = {shown(value)}`: unknown key{nearest(key, known)}; "
                f"allowed here are {', '.join(known)}."
            )
    try:
        result = model.model_validate(given).model_dump(exclude_none=True)
    except ValidationError as error:
        key = str(error.errors(include_url=False)[0]["loc"][0])
        raise refusal(path + key, given[key], allowed(table + key), NAMES.get(table + key, ())) from None
    for key in ("sigma_b", "epsilon"):
        if 0.0 < result.get(key, 0.0) < 1 / MAX_SCALE:
            raise refusal(path + key, result[key], allowed(table + key))
    for key in _BY_NAME.keys() & result.keys():
        result[key] = _by_name(key, result[key], path)
    # model_dump would copy an Activation object into a dict; hand the very thing on.
    return result | ({"activation": given["activation"]} if "activation" in given else {})
