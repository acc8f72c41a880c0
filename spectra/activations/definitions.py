"""The catalogue: every activation as one symbolic definition, a formula per smooth branch.

Formulas are text in the grammar of `spectra.activations.grammar` (variable `x`, parameters by name); derivatives,
numerical code, turning points and arbitrary-precision values all follow from them: `generate` writes
`_compiled.py`, `symbolic` evaluates with mpmath. Nothing here imports sympy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_INFINITE = float("inf")


@dataclass(frozen=True)
class Parameter:
    """A parameter with torch's name and default; `requirement` is "finite", "positive" or "nonzero"."""

    name: str
    default: float
    requirement: str = "finite"


@dataclass(frozen=True)
class Definition:
    """One activation: `formulas` on the intervals cut by `edges` (numbers or parameter names).

    `even_slope` and `slope_bound` may depend on the parameters (then they are functions of them); the bound of a
    parameter-free activation is computed by `generate`. `slopes` replaces the differentiated formulas by hand-written
    ones where those would lose digits; `generate` proves them equal. `ignored` parameters are accepted without effect.
    """

    name: str
    formulas: tuple[str, ...]
    edges: tuple[float | str, ...] = ()
    slopes: tuple[str, ...] | None = None
    parameters: tuple[Parameter, ...] = ()
    aliases: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    even_slope: bool | Callable[..., bool] = False
    slope_bound: float | Callable[..., float] | None = None
    slope_period: float | None = None
    note: str = ""


_SMOOTHED_RELU_NOTE = """Gaussian-smoothed shifted ReLU, E max(x + shift + width·z, 0) − shift with z ~ N(0, 1).

Pennington, Schoenholz and Ganguli (2018) count a "smoothed ReLU" to the smooth universality class beside the shifted
ReLU of the Bernoulli class. Their formula was not available here, so this definition is ours: the shifted ReLU
max(x + 1/2, 0) − 1/2 convolved with a Gaussian of standard deviation `width`. It is entire, its slope is the normal
distribution function Φ((x + shift)/width), 0.977 at 0 for the defaults, and φ''(0) = 0.216 ≠ 0, which is all the
smooth class asks for. As width → 0 it becomes the shifted ReLU (shift = 1/2) or the ReLU (shift = 0). In the left tail
φ + shift is accurate to 1e-16 absolutely, the slope relatively."""

_SELU_SCALE = "1.0507009873554804934193349852946"
_SELU_ALPHA = "1.6732632423543772848170429916717"

DEFINITIONS: tuple[Definition, ...] = (
    Definition("identity", ("x",), aliases=("linear", "none"), even_slope=True),
    Definition("relu", ("0", "x"), (0.0,)),
    Definition(
        "leaky_relu",
        ("negative_slope*x", "x"),
        (0.0,),
        parameters=(Parameter("negative_slope", 0.01),),
        aliases=("lrelu",),
        even_slope=lambda negative_slope: abs(negative_slope) == 1.0,
        slope_bound=lambda negative_slope: max(1.0, abs(negative_slope)),
    ),
    Definition(
        "prelu",
        ("weight*x", "x"),
        (0.0,),
        parameters=(Parameter("weight", 0.25),),
        even_slope=lambda weight: abs(weight) == 1.0,
        slope_bound=lambda weight: max(1.0, abs(weight)),
    ),
    Definition("relu6", ("0", "x", "6"), (0.0, 6.0)),
    Definition(
        "elu",
        ("alpha*expm1(x)", "x"),
        (0.0,),
        parameters=(Parameter("alpha", 1.0, "nonzero"),),
        slope_bound=lambda alpha: max(1.0, abs(alpha)),
    ),
    Definition("selu", (f"{_SELU_SCALE}*{_SELU_ALPHA}*expm1(x)", f"{_SELU_SCALE}*x"), (0.0,)),
    Definition(
        "celu",
        ("alpha*expm1(x/alpha)", "x"),
        (0.0,),
        parameters=(Parameter("alpha", 1.0, "positive"),),
        slope_bound=1.0,
    ),
    Definition("gelu", ("x*normal_cdf(x)",), note="Exact GELU x·Φ(x), torch's approximate='none'."),
    Definition(
        "gelu_tanh",
        ("x*sigmoid(2*sqrt(2/pi)*x*(1 + 0.044715*x**2))",),
        note="x/2·(1 + tanh √(2/π)(x + 0.044715 x³)), torch's approximate='tanh'; as 1 + tanh u = 2 sigmoid(2u).",
    ),
    Definition("silu", ("x*sigmoid(x)",), aliases=("swish",)),
    Definition("mish", ("x*tanh(softplus(x))",)),
    Definition(
        "softplus",
        ("softplus(beta*x)/beta",),
        parameters=(Parameter("beta", 1.0, "positive"),),
        ignored=("threshold",),
        slope_bound=1.0,
    ),
    Definition("softsign", ("x/(1 - x)", "x/(1 + x)"), (0.0,), ("1/(1 - x)**2", "1/(1 + x)**2"), even_slope=True),
    Definition("tanh", ("tanh(x)",), even_slope=True),
    Definition(
        "hardtanh",
        ("min_val", "x", "max_val"),
        ("min_val", "max_val"),
        parameters=(Parameter("min_val", -1.0), Parameter("max_val", 1.0)),
        aliases=("hard_tanh",),
        even_slope=lambda min_val, max_val: min_val == -max_val,
        slope_bound=1.0,
    ),
    Definition("sigmoid", ("sigmoid(x)",), aliases=("logistic",), even_slope=True),
    Definition("logsigmoid", ("-softplus(-x)",), aliases=("log_sigmoid",)),
    Definition("hardsigmoid", ("0", "x/6 + 1/2", "1"), (-3.0, 3.0), aliases=("hard_sigmoid",), even_slope=True),
    Definition("hardswish", ("0", "x*(x + 3)/6", "x"), (-3.0, 3.0), aliases=("hard_swish", "hardsilu")),
    Definition("erf", ("erf(sqrt(pi)*x/2)",), even_slope=True, note="erf(√π x/2): slope 1 at 0."),
    Definition("sin", ("sin(x)",), aliases=("sine",), even_slope=True, slope_period=3.141592653589793),
    Definition("shifted_relu", ("-1/2", "x"), (-0.5,), note="max(x + 1/2, 0) − 1/2."),
    Definition(
        "smoothed_relu",
        ("(x + shift)*normal_cdf((x + shift)/width) + width*normal_pdf((x + shift)/width) - shift",),
        parameters=(Parameter("shift", 0.5), Parameter("width", 0.25, "positive")),
        aliases=("smooth_relu",),
        slope_bound=1.0,
        note=_SMOOTHED_RELU_NOTE,
    ),
)

BY_NAME: dict[str, Definition] = {d.name: d for d in DEFINITIONS}
ALIASES: dict[str, str] = {alias: d.name for d in DEFINITIONS for alias in (d.name, *d.aliases)}


def edges(definition: Definition, parameters: dict[str, float]) -> tuple[float, ...]:
    """Branch boundaries (−∞, …, ∞) with the parameters put in."""
    inner = (parameters[e] if isinstance(e, str) else e for e in definition.edges)
    return (-_INFINITE, *inner, _INFINITE)
