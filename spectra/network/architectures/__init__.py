"""Kinds of layer, one file each: forward map, layer Jacobian, mean field. Nothing else knows what a kind does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ConfigError
from .architecture import Architecture as Architecture
from .architecture import Back as Back
from .architecture import Level as Level
from .architecture import Signal as Signal
from .dense import Dense
from .normalised import Normalised
from .residual import Residual
from .summed import AfterSum

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..config import LayerSpec

ARCHITECTURES: dict[str, Architecture] = {"dense": Dense(), "residual": Residual()}
#: The same with a normalisation in them.
NORMALISED: dict[str, Architecture] = {kind: Normalised(plain) for kind, plain in ARCHITECTURES.items()}


#: Residual blocks whose φ comes after the sum.
AFTER_SUM: Architecture = AfterSum()


def architecture_of(spec: LayerSpec) -> Architecture:
    """What layers of this kind do."""
    if spec.order == "sum":
        return AFTER_SUM
    return (ARCHITECTURES if spec.normalise is None else NORMALISED)[spec.kind]


def are_free(specs: Iterable[LayerSpec]) -> bool:
    """Whether JJᵀ is a free product, of as many factors as there are layers."""
    return all(architecture_of(spec).is_free for spec in specs)


def are_products(specs: Iterable[LayerSpec]) -> bool:
    """Whether the Jacobian of every layer is D W, so that free products are all there is to it."""
    return all(architecture_of(spec).is_product for spec in specs)


def refuse_but_products(specs: Iterable[LayerSpec]) -> None:
    """Raise `ConfigError` where a layer's Jacobian is no product D W, which exact series and proofs need."""
    _refuse(spec for spec in specs if not architecture_of(spec).is_product)


def refuse_but_free(specs: Iterable[LayerSpec]) -> None:
    """Raise `ConfigError` where JJᵀ is no free product, or none that is known."""
    specs = tuple(specs)
    refuse_without_law(specs)
    _refuse(spec for spec in specs if not architecture_of(spec).is_free)


def refuse_without_law(specs: Iterable[LayerSpec]) -> None:
    """Raise `ConfigError` where there is no law of a layer."""
    for spec in specs:
        if why := architecture_of(spec).lacks(spec):
            raise ConfigError(f"{why}.")


def _refuse(specs: Iterable[LayerSpec]) -> None:
    for spec in specs:
        raise ConfigError(
            f"`{spec.unlike_dense}`: exact series, proofs and more digits are of networks of dense layers; "
            "`spectra predict` has this one in doubles."
        )
