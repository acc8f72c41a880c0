"""Laws, one per file; each is loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazily

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

__getattr__, __dir__ = lazily(__name__, globals(), _HOMES)
