"""A network as data: layers, weights, variances and widths, validated once and then immutable."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from typing import Any, Literal

from ..activations import Activation, get_activation
from ..errors import ConfigError
from .architectures import ARCHITECTURES, NORMALISED, Architecture, architecture_of
from .architectures.scales import spread
from .initialised import kind_of, translated
from .normaliser import Normaliser, normaliser_of
from .schema import CRITICAL, FIXED_POINT, MAX_DEPTH, SHARED_KEYS, plain, refusal, shown
from .toml import read_toml, with_changes


@dataclass(frozen=True)
class LayerSpec:
    """A run of `repeat` identical layers: x → φ(Wx + b), or what their kind says.

    Parameters
    ----------
    activation : φ.
    weights : "gaussian", "orthogonal", "uniform" or "rademacher".
    sigma_w, sigma_b : Var W = σ_w²/fan_in, Var b = σ_b². σ_w may be "critical"; then exactly one of `sigma_b` and
        `q_star` is a number.
    q_star : the pre-activation variance at which a critical layer sits.
    width : N_l, where widths are stated.
    repeat : number of layers in the run.
    kind : "dense" or "residual".
    alpha, skip, order : of a residual block: α and β as numbers, and "pre", "post" or "sum"; else None.
    branch_layers : weight matrices of its branch.
    normalise : what its signals are normalised by, and where; None for nothing.
    description : the activation as the configuration gave it; two specs may differ in it and be equal.
    """

    activation: Activation
    weights: str
    sigma_w: float | Literal["critical"]
    sigma_b: float | None
    q_star: float | None = None
    width: int | None = None
    repeat: int = 1
    kind: str = "dense"
    alpha: float | None = None
    skip: float | None = None
    order: str | None = None
    branch_layers: int = 1
    normalise: Normaliser | None = None
    description: Any = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Keys of a [[layers]] table that give this run, defaults left out."""
        table = {
            "activation": _named(self.activation if self.description is None else self.description),
            "weights": self.weights,
            "sigma_w": self.sigma_w,
            "sigma_b": self.sigma_b,
            "q_star": self.q_star,
            "width": self.width,
            "repeat": self.repeat if self.repeat > 1 else None,
            "kind": self.kind if self.kind != "dense" else None,
            "alpha": self.alpha,
            "skip": self.skip,
            "order": self.order,
            "branch_layers": self.branch_layers if self.branch_layers > 1 else None,
            "normalise": self.normalise.to_dict() if self.normalise is not None else None,
        }
        return {key: value for key, value in table.items() if value is not None}

    @property
    def unlike_dense(self) -> str:
        """The key that makes it another layer than x → φ(Wx + b), with its value."""
        if self.normalise is not None:
            return f"normalise = {shown(self.normalise.to_dict())}"
        return f'kind = "{self.kind}"'


@dataclass(frozen=True, init=False, repr=False)
class Network:
    """A network J = J_L ⋯ J_1, from the keys of a configuration file; J_l = D_l W_l for dense layers.

    Parameters
    ----------
    depth : number of identical layers; or
    layers : list of tables, one per run of `repeat` identical layers; keys left out are inherited from the top level.
    init : an initialisation as people write it, in place of `weights` and `sigma_w`: see `spectra.inits`.
    activation, weights, sigma_w, sigma_b, q_star, width, kind : see `LayerSpec`. `weights` defaults to "gaussian",
        `sigma_b` to 0 unless `sigma_w` is "critical". A layer's own `sigma_w`, `sigma_b` or `q_star` displaces
        inherited ones that it contradicts.
    alpha, skip, order : of residual blocks, x ← βx + α(Wφ(x) + b) ("pre", the default), x ← βx + αφ(Wx + b) ("post")
        or x ← φ(βx + α(Wx + b)) ("sum"), β = `skip`, 1 by default, of either sign; `alpha` may be a list, one number a
        block, or text: "1/sqrt(depth)", depth the number of residual blocks, "1/depth", "1/sqrt(l)" or
        "1/(sqrt(l) log(l))", l the number of the block (from 2 beside log), and any number in place of 1.
    branch_layers : weight matrices of a residual branch, 1 by default; of two, each with weights and biases like W and
        b, x ← βx + α(Vφ(Wφ(x) + b) + c) ("pre"), x ← βx + αφ(Vφ(Wx + b) + c) ("post") or, as in the first residual
        nets, x ← φ(βx + α(Vφ(Wx + b) + c)) ("sum").
    normalise : "batch", "layer" or "rms", or a table with one of them as `name` and any of `position` ("before" φ, the
        default, "after" it, or after the "sum" of a residual block), `batch` (its size; large batches where left out),
        `gain` γ = 1 and `epsilon` ε = 0.
    input_variance : mean square of the entries of x_0, or "fixed-point"; None where left out.
    input_width : N_0; without it the top-level `width`, or the width that all layers share.

    Attributes
    ----------
    layers : tuple of `LayerSpec`, consecutive equal ones merged.

    Raises
    ------
    ConfigError : one line naming the key, the value and what is allowed.

    Examples
    --------
    >>> net = Network(depth=16, activation="tanh", weights="orthogonal", sigma_w="critical", q_star=0.1)
    >>> net.depth, net.layers[0].repeat
    (16, 16)
    >>> net.replace(depth=4).to_dict()["depth"], net.replace(depth=16) == net
    (4, True)
    """

    layers: tuple[LayerSpec, ...]
    input_variance: float | Literal["fixed-point"] | None
    input_width: int | None
    _given: dict[str, Any] = field(compare=False)

    def __init__(self, **keys: Any) -> None:
        from .fields import checked

        given = checked(keys)
        tables = _tables(given)
        _check_kinds(given, tables)
        tables = translated(tables, given)
        blocks = Counter[str]()
        for table, _ in tables:
            blocks[_kind(table)] += table.get("repeat", 1)
        tables = _spread(tables, blocks)
        layers = _merged(_layer(table, path, blocks[_kind(table)]) for table, path in tables)
        _check_depth(layers)
        setattr_once = object.__setattr__
        setattr_once(self, "layers", layers)
        setattr_once(self, "input_variance", given.get("input_variance"))
        setattr_once(self, "input_width", _input_width(given, layers))
        setattr_once(self, "_given", given)
        _check_widths(self)

    def __repr__(self) -> str:
        return "Network(" + ", ".join(f"{key}={value!r}" for key, value in self.to_dict().items()) + ")"

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str], changes: Mapping[str, Any] | None = None) -> Network:
        """Network described by a TOML file, with `changes` (dotted keys, as in `replace`) made before validation.

        Raises
        ------
        ConfigError : no such file, not TOML (with the line), or not a network; the message begins with the path.
        """
        try:
            return cls(**with_changes(read_toml(path), changes or {}))
        except ConfigError as error:
            raise ConfigError(f"{os.fspath(path)}: {error}") from None

    def replace(self, **changes: Any) -> Network:
        """Return the network with keys changed; None takes a key out, dotted keys (`layers.0.width`) reach inside."""
        return Network(**with_changes(self._given, changes))

    def to_dict(self) -> dict[str, Any]:
        """Plain configuration as given; `Network(**net.to_dict()) == net` unless an activation is a callable."""
        return _named(self._given)

    @property
    def depth(self) -> int:
        """Number of layers L."""
        return sum(spec.repeat for spec in self.layers)

    @property
    def widths(self) -> tuple[int, ...] | None:
        """Input width, then one width per entry of `layers`; None where no widths are stated."""
        if self.input_width is None:
            return None
        return (self.input_width, *(spec.width or self.input_width for spec in self.layers))

    @property
    def width(self) -> int | None:
        """The width shared by the input and all layers; None where unstated or rectangular."""
        widths = self.widths
        return widths[0] if widths is not None and len(set(widths)) == 1 else None

    @property
    def rectangular(self) -> bool:
        """Whether widths are stated and differ."""
        return self.widths is not None and self.width is None


def _tables(given: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """One complete table per run, and the path that messages about it start with."""
    shared = {key: given[key] for key in SHARED_KEYS if key in given}
    if "layers" in given and "depth" in given:
        raise refusal("depth", given["depth"], "must be left out where [[layers]] are given; each has its own `repeat`")
    if "layers" in given:
        return [(_inherit(shared, own), f"layers.{i}.") for i, own in enumerate(given["layers"])]
    if "depth" not in given:
        raise ConfigError("`depth`: missing; give a whole number of layers, or a list of [[layers]].")
    return [(shared | {"repeat": given["depth"]}, "")]


def _inherit(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Layer's keys over the shared ones, without inherited keys that the layer's own contradict."""
    displaced: set[str] = set()
    if "sigma_b" in own or own.get("sigma_w", CRITICAL) != CRITICAL:
        displaced.add("q_star")
    if "q_star" in own:
        displaced.add("sigma_b")
    if "init" in own:
        displaced |= {"weights", "sigma_w", "q_star"}
    elif "sigma_w" in own and "init" in shared:
        # The kind of weights is not contradicted: it stays.
        displaced.add("init")
        shared = {"weights": kind_of(shared["init"])} | shared
    return {key: value for key, value in shared.items() if key not in displaced} | own


def _spread(tables: list[tuple[dict[str, Any], str]], blocks: Counter[str]) -> list[tuple[dict[str, Any], str]]:
    """The tables with a number for every scale, those of blocks that differ apart; `blocks` of each kind in all."""
    before, found = Counter[str](), []
    for table, path in tables:
        kind = _kind(table)
        found += [(own, path) for own in spread(table, path, before[kind], blocks[kind])]
        before[kind] += table.get("repeat", 1)
    return found


def _kind(table: Mapping[str, Any]) -> str:
    return table.get("kind", "dense")


def _does(table: Mapping[str, Any]) -> Architecture:
    """What the layers of a table do."""
    return (ARCHITECTURES if table.get("normalise") is None else NORMALISED)[_kind(table)]


def _check_kinds(given: dict[str, Any], tables: list[tuple[dict[str, Any], str]]) -> None:
    """Refuse keys of another kind of layer, and fixed points where there are none."""
    own = given.get("layers", [{}] * len(tables))
    taken = {key for table, _ in tables for key in ARCHITECTURES[_kind(table)].keys}
    for (table, path), mine in zip(tables, own, strict=True):
        for kind, architecture in ARCHITECTURES.items():
            for key in architecture.keys:
                if (key in mine and kind != _kind(table)) or (key in given and key not in taken):
                    where = path + key if key in mine else key
                    value = mine.get(key, given.get(key))
                    raise refusal(where, value, f'goes only with `kind = "{kind}"`; here kind is "{_kind(table)}"')
    for table, path in tables:
        if table.get("sigma_w") == CRITICAL and (why := _without("edge of chaos", tables, settles=True)):
            raise refusal(f"{path}sigma_w", CRITICAL, f"must be a positive number in a network {why}")
    if given.get("input_variance") == FIXED_POINT and (why := _without("fixed point", tables, settles=False)):
        raise refusal("input_variance", FIXED_POINT, f"must be a positive number in a network {why}; 1 if left out")


def _without(what: str, tables: list[tuple[dict[str, Any], str]], *, settles: bool) -> str:
    """Which layers see to it that a network has none of something; nothing where it has."""
    for table, _ in tables:
        architecture = _does(table)
        if not (architecture.settles if settles else architecture.rests):
            layers = "normalised" if architecture.rests else _kind(table)
            return f"with {layers} layers, which has no {what}"
    return ""


def _check_widths(net: Network) -> None:
    """Refuse a change of width where x is added to what the layer makes of it."""
    for index, (before, after) in enumerate(pairwise(net.widths or ())):
        spec = net.layers[index]
        if before != after and architecture_of(spec).keeps_width:
            raise refusal(
                "width",
                after,
                f"must be the {before} of what enters the {spec.kind} layers: x is added to what they make of it; a "
                "dense layer may change the width before",
            )


def _layer(table: dict[str, Any], path: str, count: int) -> LayerSpec:
    """Spec of one complete table; the keys' joint conditions are checked here. `count`: layers of its kind in all."""
    for key, remedy in (
        ("activation", 'give a name such as "tanh"'),
        ("sigma_w", f'give a positive number, "{CRITICAL}" for the edge of chaos, or an `init`'),
    ):
        if key not in table:
            raise ConfigError(f"`{path}{key}`: missing; {remedy}.")
    sigma_w, sigma_b, q_star = table["sigma_w"], table.get("sigma_b"), table.get("q_star")
    if sigma_w == CRITICAL and (sigma_b is None) == (q_star is None):
        both = "both are given" if q_star is not None else "neither is given"
        raise refusal(f"{path}sigma_w", sigma_w, f"needs exactly one of `sigma_b` and `q_star`; {both}")
    if sigma_w != CRITICAL and q_star is not None:
        raise refusal(f"{path}q_star", q_star, f'goes only with `sigma_w = "{CRITICAL}"`; here sigma_w = {sigma_w:g}')
    description = table["activation"]
    try:
        activation = get_activation(description)
    except ConfigError as error:
        text = str(error)
        if not text.startswith("`activation"):
            text = f"`activation = {shown(description)}`: {text}"
        raise ConfigError(text.replace("`", f"`{path}", 1)) from None
    return LayerSpec(
        activation=activation,
        weights=table.get("weights", "gaussian"),
        sigma_w=sigma_w,
        sigma_b=sigma_b if sigma_w == CRITICAL else float(sigma_b or 0.0),
        q_star=q_star,
        width=table.get("width"),
        repeat=table.get("repeat", 1),
        kind=_kind(table),
        **_does(table).options(table, path, count),
        normalise=normaliser_of(table.get("normalise"), path, _kind(table)),
        description=description,
    )


def _merged(specs: Iterable[LayerSpec]) -> tuple[LayerSpec, ...]:
    """Consecutive layers that differ only in `repeat` as one run."""
    runs = (list(run) for _, run in groupby(specs, key=lambda spec: replace(spec, repeat=1)))
    return tuple(replace(run[0], repeat=sum(spec.repeat for spec in run)) for run in runs)


def _check_depth(layers: Sequence[LayerSpec]) -> None:
    depth = sum(spec.repeat for spec in layers)
    if depth > MAX_DEPTH:
        raise refusal("layers", f"{depth} layers in all", f"must come to at most {MAX_DEPTH:,}")


def _input_width(given: dict[str, Any], layers: Sequence[LayerSpec]) -> int | None:
    """N_0; widths are stated for all layers or for none."""
    widths = {spec.width for spec in layers}
    if None in widths:
        if widths != {None}:
            raise ConfigError("`width`: stated for some layers and not for others; state it for all or for none.")
        if "input_width" in given:
            raise refusal("input_width", given["input_width"], "needs a `width` for the layers too")
        return None
    if "input_width" in given:
        return given["input_width"]
    if "width" in given:
        return given["width"]
    if len(widths) > 1:
        raise ConfigError(
            "`input_width`: missing; the layers' widths differ, so the width of the input must be stated."
        )
    return widths.pop()


def _named(value: Any) -> Any:
    """Plain copy; an activation object stands by its name and parameters, a callable as {"callable": name}."""
    if isinstance(value, dict):
        return {key: _named(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_named(item) for item in value]
    if isinstance(value, Activation):
        if value.source == "catalogue":
            return {"name": value.name, **dict(value.parameters)} if value.parameters else value.name
        return {"expr" if value.source == "expression" else "callable": value.name}
    return plain(value)
