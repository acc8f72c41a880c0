"""Laws, one per file; each is loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .arcsine import Arcsine as Arcsine
    from .atomic import Atomic as Atomic
    from .bernoulli import Bernoulli as Bernoulli
    from .dirac import Dirac as Dirac
    from .discrete import Discrete as Discrete
    from .fuss_catalan import FussCatalan as FussCatalan
    from .marchenko_pastur import MarchenkoPastur as MarchenkoPastur
    from .semicircle import Semicircle as Semicircle
    from .slope import SquaredSlope as SquaredSlope

_HOMES = {
    "Arcsine": "arcsine",
    "Atomic": "atomic",
    "Bernoulli": "bernoulli",
    "Dirac": "dirac",
    "Discrete": "discrete",
    "FussCatalan": "fuss_catalan",
    "MarchenkoPastur": "marchenko_pastur",
    "Semicircle": "semicircle",
    "SquaredSlope": "slope",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'spectra.laws' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
