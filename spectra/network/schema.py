"""What a network description may contain, in words: ranges, names, and one clear sentence for everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..inits.translation import INITS as TRANSLATED
from ..wording import nearest as nearest
from ..wording import refusal as refusal
from ..wording import shown as shown
from .normaliser import NORMALISATIONS, POSITIONS

WEIGHTS = ("gaussian", "orthogonal", "uniform", "rademacher")
INITS = tuple(TRANSLATED)
NONLINEARITIES = ("linear", "identity", "sigmoid", "tanh", "relu", "leaky_relu", "selu")
MODES = ("fan_in", "fan_out")
CRITICAL = "critical"
FIXED_POINT = "fixed-point"
KINDS = ("dense", "residual")
ORDERS = ("pre", "post", "sum")
# α of residual blocks, from their number L and from the number l of each: `architectures.scales` computes them.
SCALES = ("1/sqrt(depth)", "1/depth", "1/sqrt(l)", "1/(sqrt(l) log(l))")
# mean_field lists one number a layer; ten million of them still fit in memory and in a file.
MAX_DEPTH = 10_000_000
MAX_WIDTH = 1_000_000_000
MAX_BATCH = 1_000_000
MAX_BRANCH = 8
# Squares of scales must stay inside the range of doubles, with room for the activation's own scale.
MAX_SCALE = 1e100

# What a layer may give for itself or inherit from the top level.
SHARED_KEYS = (
    "activation",
    "weights",
    "sigma_w",
    "sigma_b",
    "q_star",
    "init",
    "normalise",
    "width",
    "kind",
    "alpha",
    "skip",
    "order",
    "branch_layers",
)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


_RANGE = f"{1 / MAX_SCALE:g} to {MAX_SCALE:g}"
_ALLOWED = {
    "depth": f"a whole number from 1 to {MAX_DEPTH:,}",
    "repeat": f"a whole number from 1 to {MAX_DEPTH:,}",
    "width": f"a whole number from 1 to {MAX_WIDTH:,}",
    "input_width": f"a whole number from 1 to {MAX_WIDTH:,}",
    "activation": 'a name such as "tanh", or a table {name = "leaky_relu", negative_slope = 0.2} or {expr = "tanh(x)"}',
    "weights": f"one of {_quoted(WEIGHTS)}",
    "sigma_w": f'a positive number ({_RANGE}), or "{CRITICAL}"',
    "sigma_b": f"0 or a positive number ({_RANGE})",
    "q_star": f"a positive number ({_RANGE})",
    "input_variance": f'a positive number ({_RANGE}), or "{FIXED_POINT}"',
    "init": f'one of {_quoted(INITS)}, or a table such as {{name = "kaiming_normal", nonlinearity = "relu"}}',
    "init.name": f"one of {_quoted(INITS)}",
    "init.gain": f"a positive number ({_RANGE})",
    "init.mode": f"one of {_quoted(MODES)}",
    "init.nonlinearity": f"one of {_quoted(NONLINEARITIES)}; for another give its `gain`",
    "init.negative_slope": "a number",
    "init.std": f"a positive number ({_RANGE})",
    "init.bound": f"a positive number ({_RANGE})",
    "normalise": f'one of {_quoted(NORMALISATIONS)}, or a table such as {{name = "batch", batch = 8}}',
    "normalise.name": f"one of {_quoted(NORMALISATIONS)}",
    "normalise.position": f"one of {_quoted(POSITIONS)}: before φ, after it, or after the sum of a residual block",
    "normalise.batch": (
        f"a whole number from 3 to {MAX_BATCH:,}, or left out for large batches; of two examples normalised by their "
        "own statistics no gradient is left"
    ),
    "normalise.gain": f"a positive number ({_RANGE})",
    "normalise.epsilon": f"0 or a positive number ({_RANGE})",
    "layers": "a list of at least one [[layers]] table",
    "kind": "one of " + ", ".join(f'"{name}"' for name in KINDS),
    "alpha": (
        f"a positive number ({_RANGE}), a list of one for each block, or {_quoted(SCALES)}, any number in place of 1, "
        "where depth counts the residual blocks of the network, and l each of them from 1 (beside log: from 2)"
    ),
    "skip": f"a number other than 0 ({_RANGE}, or its negative)",
    "order": '"pre" for x ← βx + α(Wφ(x) + b), "post" for x ← βx + αφ(Wx + b), or "sum" for x ← φ(βx + α(Wx + b))',
    "branch_layers": (
        f"a whole number from 1 to {MAX_BRANCH}, the weight matrices of a branch: of two βx + α(Vφ(Wφ(x) + b) + c), "
        "post βx + αφ(Vφ(Wx + b) + c), sum φ(βx + α(Vφ(Wx + b) + c))"
    ),
}
# The names among the allowed values, for the nearest one.
NAMES: dict[str, tuple[str, ...]] = {
    "weights": WEIGHTS,
    "sigma_w": (CRITICAL,),
    "input_variance": (FIXED_POINT,),
    "init": INITS,
    "init.name": INITS,
    "init.mode": MODES,
    "init.nonlinearity": NONLINEARITIES,
    "normalise": NORMALISATIONS,
    "normalise.name": NORMALISATIONS,
    "normalise.position": POSITIONS,
    "kind": KINDS,
    "alpha": SCALES,
    "order": ORDERS,
}


def allowed(key: str) -> str:
    """Sentence on what may stand under a key."""
    text = _ALLOWED[key]
    return text if text.startswith("must") else f"must be {text}"


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
