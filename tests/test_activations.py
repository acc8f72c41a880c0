"""Activations against their definitions at fifty digits, by sympy's own derivative of the elementary formula.

The reference never uses the derivative rules of the package: it differentiates `symbolic()` in plain sympy and
evaluates with enough digits that 1 − tanh² at x = 1000 still has fifty.
"""

import copy
import pickle
import subprocess
import sys
from functools import cache

import mpmath
import numpy as np
import pytest
import sympy

from spectra.activations import _compiled, generate, get_activation, names, primitives, symbolic
from spectra.activations.definitions import DEFINITIONS
from spectra.errors import ConfigError

EPS = np.finfo(float).eps
SPECS = [
    *names(),
    {"name": "leaky_relu", "negative_slope": 0.3},
    {"name": "prelu", "weight": -1.0},
    {"name": "elu", "alpha": 1.7},
    {"name": "elu", "alpha": -0.5},
    {"name": "celu", "alpha": 0.4},
    {"name": "gelu", "approximate": "tanh"},
    {"name": "softplus", "beta": 2.5, "threshold": 20},
    {"name": "hardtanh", "min_val": -2, "max_val": 0.5},
    {"name": "smoothed_relu", "shift": 0.0, "width": 1.5},
    {"expr": "tanh(x) + x/10"},
    {"expr": "x*log(1 + exp(x))/(1 + Abs(x))"},
    {"expr": "erf(x)*exp(-x**2/2) + 0.3*relu(x - 1)"},
    {"expr": "Piecewise((x/(1 - x), x < 0), (log1p(x), x < 1), (log(2) + (x - 1)/2, True))"},
    {"expr": "asinh(x) + 0.1*log(cosh(x)) - atan(x)/3"},
]
SCALES = np.geomspace(1e-8, 1e3, 30)
POINTS = np.concatenate((-SCALES[::-1], SCALES))


def label(spec):
    return spec if isinstance(spec, str) else ",".join(f"{v}" for v in spec.values())


every = pytest.mark.parametrize("spec", SPECS, ids=label)
catalogue = pytest.mark.parametrize("name", names())


@cache
def reference(activation, order):
    """Per branch: the `order`-th derivative of the elementary formula as an mpmath function."""
    formula = activation.symbolic()
    branches = [pair.args[0] for pair in formula.args] if isinstance(formula, sympy.Piecewise) else [formula]
    derivatives = [sympy.diff(e, symbolic.X, order) for e in branches]
    return [sympy.lambdify([symbolic.X], d, modules="mpmath") for d in derivatives]


def true_value(activation, order, x, branch=None):
    if branch is None:
        branch = int(np.searchsorted(activation.kinks, np.real(x), side="right"))
    with mpmath.workdps(80 + int(2.6 * abs(x))):
        return +mpmath.mpmathify(
            reference(activation, order)[branch](mpmath.mpmathify(complex(x) if np.iscomplexobj(x) else float(x)))
        )


# -- values and derivatives -------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("order", [0, 1, 2])
def test_values_and_derivatives_match_the_symbolic_definition_on_all_scales(spec, order):
    activation = get_activation(spec)
    computed = (activation, activation.derivative, activation.second_derivative)[order](POINTS)
    for x, y in zip(POINTS, computed, strict=True):
        truth = true_value(activation, order, x)
        modulus = float(abs(truth))
        # where a tail is e^{-t}, rounding t costs t eps; zeros of φ, φ', φ'' lie within |x| < 4
        relative = 1e-9 if activation.source == "expression" else 1e-14
        allowed = (relative + 6 * EPS * abs(np.log(modulus or 1.0))) * modulus + (abs(x) < 4) * 4e-15
        # u Φ(u) + φ(u) cancels as u → −∞: absolute accuracy of the value only
        allowed = max(allowed, 1e-16 if (activation.name, order) == ("smoothed_relu", 0) else 1e-305)
        assert abs(float(truth) - y) <= allowed, (x, y, mpmath.nstr(truth, 20))


@every
@pytest.mark.parametrize("order", [0, 1, 2])
def test_branches_continue_analytically_off_the_line(spec, order):
    activation = get_activation(spec)
    for index, branch in enumerate(activation.branches):
        inside = POINTS[(branch.lower < POINTS) & (branch.upper > POINTS) & (np.abs(POINTS) < 60)][::3]
        x = (inside[:, None] + 1j * np.array([-0.5, 0.1, 0.9])).ravel()
        computed = (branch.value, branch.slope, branch.curvature)[order](x)
        assert computed.dtype == complex
        for z, y in zip(x, computed, strict=True):
            truth = complex(true_value(activation, order, z, index))
            absolute = 1e-16 if (activation.name, order) == ("smoothed_relu", 0) else (abs(z) < 5) * 2e-14 + 1e-300
            assert abs(truth - y) <= 2e-13 * abs(truth) + absolute, (z, y, truth)


@every
def test_small_inputs_keep_relative_accuracy_of_odd_activations(spec):
    activation = get_activation(spec)
    if float(activation(0.0)) != 0.0 or 0.0 in activation.kinks:
        pytest.skip("φ(0) ≠ 0 or a kink there")
    for x in (1e-12, -3e-7, 1e-300):
        assert float(activation(x)) == pytest.approx(float(true_value(activation, 0, x)), rel=2e-15)


@every
@pytest.mark.parametrize("order", [0, 1, 2, 4])
def test_mp_follows_the_definition_at_fifty_digits(spec, order):
    activation = get_activation(spec)
    for x in (-31.7, -2.3, -0.71, 0.013, 1.9, 40.5, complex(0.4, 0.6), complex(-2.9, -0.3)):
        truth = true_value(activation, order, x)
        with mpmath.workdps(50):
            error = abs(activation.mp(x, order) - truth)
            assert error <= mpmath.mpf(10) ** -47 * (abs(truth) + (abs(x) < 5))


@every
def test_finite_without_warnings_up_to_ten_thousand(spec):
    activation = get_activation(spec)
    x = np.concatenate((-np.geomspace(1e-6, 1e4, 301), [0.0], np.geomspace(1e-6, 1e4, 301)))
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        for function in (activation, activation.derivative, activation.second_derivative):
            assert np.all(np.isfinite(function(x)))
        for branch in activation.branches:
            inside = x[(x > branch.lower) & (x < branch.upper)]
            for function in (branch.value, branch.slope, branch.curvature):
                for height in (0.0, 0.9, -0.9):
                    assert np.all(np.isfinite(function(inside + 1j * height)))


@catalogue
def test_continued_branches_stay_finite_on_the_whole_line(name):
    if name == "softsign":
        pytest.skip("x/(1 − x) has a true pole at 1")
    x = np.linspace(-1e4, 1e4, 801)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        for branch in get_activation(name).branches:
            for function in (branch.value, branch.slope, branch.curvature):
                assert np.all(np.isfinite(function(x)))
                assert np.all(np.isfinite(function(x + 0.7j)))


@every
@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (0,)])
def test_shapes_and_dtypes_are_kept(spec, shape):
    activation = get_activation(spec)
    x = np.full(shape, 0.3)
    for function in (activation, activation.derivative, activation.second_derivative):
        assert np.shape(function(x)) == shape
    for branch in activation.branches:
        for function in (branch.value, branch.slope, branch.curvature):
            assert np.shape(function(x)) == shape
            assert np.asarray(function(x + 0.1j)).dtype == complex
            assert function(x) is not x


# -- kinks, turning points, symmetry ----------------------------------------------------------------------------------


@every
def test_activations_are_continuous_and_take_right_hand_slopes_at_kinks(spec):
    activation = get_activation(spec)
    for i, kink in enumerate(activation.kinks):
        left, right = activation.branches[i], activation.branches[i + 1]
        assert left.value(np.array(kink)) == pytest.approx(right.value(np.array(kink)), abs=1e-15)
        assert activation.derivative(kink) == right.slope(np.array(kink))
        assert left.upper == right.lower == kink


@every
def test_turning_points_are_zeros_to_the_last_bit_and_none_is_missing(spec):
    activation = get_activation(spec)
    for index, branch in enumerate(activation.branches):
        if branch.constant_slope is not None:
            assert branch.turning_points == ()
            x = np.linspace(max(branch.lower, -50), min(branch.upper, 50), 7)
            assert np.all(branch.slope(x) == branch.constant_slope)
            continue
        if activation.slope_period:
            continue
        crossings = []
        for order, function in ((1, branch.slope), (2, branch.curvature)):
            x = np.linspace(max(branch.lower, -30.0), min(branch.upper, 30.0), 60_012)[1:-1]
            y = function(x)
            crossings += [(order, x[i], x[i + 1]) for i in np.flatnonzero(y[:-1] * y[1:] < 0)]
        assert len(crossings) == len(branch.turning_points)
        for t in branch.turning_points:
            order = next(o for o, a, b in crossings if a <= t <= b)
            step = np.spacing(abs(t)) if t else 1e-25
            before, after = (true_value(activation, order, s, index) for s in (t - step, t + step))
            assert before * after < 0, (t, order)


@every
def test_even_slope_and_period_and_bound_are_what_the_slope_shows(spec):
    activation = get_activation(spec)
    x = np.linspace(1.2345e-3, 30.01, 30_000)
    x = np.concatenate((-x[::-1], x))
    square = activation.derivative(x) ** 2
    even = bool(np.all(np.abs(square - square[::-1]) <= 1e-12 * np.maximum(square, square[::-1])))
    assert even == activation.even_slope
    assert np.max(np.sqrt(square)) <= activation.slope_bound * (1 + 4 * EPS)
    extremes = [
        abs(b.slope(np.array(t)))
        for b in activation.branches
        for t in (*b.turning_points, b.lower, b.upper)
        if np.isfinite(t)
    ]
    largest = max([np.max(np.sqrt(square)), *extremes, *np.abs(activation.derivative(np.array([-1e4, 1e4])))])
    assert largest == pytest.approx(activation.slope_bound, rel=1e-6)
    if activation.slope_period:
        assert activation.derivative(x + activation.slope_period) ** 2 == pytest.approx(square, abs=1e-12)


# -- the catalogue ----------------------------------------------------------------------------------------------------


def test_known_values_of_the_activations_whose_definition_is_a_convention():
    assert float(get_activation("erf").derivative(0.0)) == 1.0
    assert float(get_activation("erf")(1.0)) == pytest.approx(0.789_908_594_556_062_7, rel=1e-15)  # mpmath erf(√π/2)
    assert get_activation("shifted_relu")(np.array([-2.0, 0.0, 1.0])).tolist() == [-0.5, 0.0, 1.0]
    assert get_activation("leaky_relu")(-1.0) == -0.01
    assert get_activation("prelu")(-1.0) == -0.25
    assert get_activation("hardswish")(1.0) == pytest.approx(4 / 6)
    assert get_activation("hardsigmoid")(0.0) == 0.5
    assert get_activation("relu6")(7.0) == 6.0
    assert get_activation("selu")(-1.0) == pytest.approx(1.0507009873554805 * 1.6732632423543772 * np.expm1(-1))


def test_torch_formulas_written_out_by_hand():
    x = np.linspace(-6, 6, 101)
    u = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    assert get_activation("gelu_tanh")(x) == pytest.approx(0.5 * x * (1 + np.tanh(u)), abs=1e-15)
    assert get_activation("mish")(x) == pytest.approx(x * np.tanh(np.log1p(np.exp(x))), abs=1e-15)
    assert get_activation("silu")(x) == pytest.approx(x / (1 + np.exp(-x)), abs=1e-15)
    assert get_activation("logsigmoid")(x) == pytest.approx(-np.log1p(np.exp(-x)), rel=1e-14)
    assert get_activation("softsign")(x) == pytest.approx(x / (1 + np.abs(x)), rel=1e-15)
    celu = np.maximum(x, 0) + np.minimum(0, 0.7 * np.expm1(x / 0.7))
    assert get_activation({"name": "celu", "alpha": 0.7})(x) == pytest.approx(celu, rel=1e-15)


def test_smoothed_relu_is_the_gaussian_convolution_of_the_shifted_relu():
    node, weight = np.polynomial.hermite_e.hermegauss(200)
    x = np.linspace(-2, 2, 9)
    smooth = get_activation("smoothed_relu")
    sampled = (np.maximum(x[:, None] + 0.25 * node + 0.5, 0) - 0.5) @ weight / np.sqrt(2 * np.pi)
    assert smooth(x) == pytest.approx(sampled, abs=1e-3)  # Hermite across a kink: O(width / nodes)
    assert float(smooth.derivative(0.0)) == pytest.approx(0.977249868, rel=1e-9)
    assert float(smooth.second_derivative(0.0)) == pytest.approx(0.215963866, rel=1e-8)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("swish", "silu"),
        ("hard_tanh", "hardtanh"),
        ("Hard-Tanh", "hardtanh"),
        ("linear", "identity"),
        (" ReLU ", "relu"),
        ("log_sigmoid", "logsigmoid"),
    ],
)
def test_aliases_lead_to_the_same_object(alias, name):
    assert get_activation(alias) is get_activation(name)


def test_equal_specs_are_one_hashable_object_and_survive_pickling():
    for spec in SPECS:
        activation = get_activation(spec)
        assert get_activation(copy.deepcopy(spec)) is activation
        assert get_activation(activation) is activation
        assert pickle.loads(pickle.dumps(activation)) == activation
        assert copy.deepcopy(activation) == activation
        assert len({activation, get_activation(spec)}) == 1
    assert get_activation("leaky_relu") == get_activation({"name": "leaky_relu", "negative_slope": 0.01})
    assert get_activation("leaky_relu") != get_activation({"name": "leaky_relu", "negative_slope": 0.02})


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("tahn", ["tahn", "'tanh'"]),
        ("leaky_rellu", ["'leaky_relu'"]),
        ("", ["allowed", "tanh"]),
        ("tanh(x)", ["expr"]),
        (3, ["3", "name"]),
        ({}, ["name", "expr"]),
        ({"name": "tanh", "expr": "x"}, ["exactly one"]),
        ({"name": 3}, ["3"]),
        ({"expr": "x", "alpha": 1}, ["alpha"]),
        ({"name": "tanh", "alpha": 1}, ["alpha", "none"]),
        ({"name": "leaky_relu", "slope": 1}, ["'slope'", "'negative_slope'"]),
        ({"name": "leaky_relu", "negative_slope": "0.1"}, ["number"]),
        ({"name": "leaky_relu", "negative_slope": True}, ["number"]),
        ({"name": "leaky_relu", "negative_slope": float("nan")}, ["finite"]),
        ({"name": "elu", "alpha": 10**400}, ["finite"]),
        ({"name": "elu", "alpha": 0}, ["zero", "relu"]),
        ({"name": "celu", "alpha": -1}, ["positive"]),
        ({"name": "hardtanh", "min_val": 2, "max_val": 1}, ["increase"]),
        ({"name": "gelu", "approximate": "erf"}, ["none", "tanh"]),
    ],
)
def test_bad_specs_are_refused_by_name(spec, words):
    with pytest.raises(ConfigError) as refused:
        get_activation(spec)
    assert all(word in str(refused.value) for word in words), refused.value


def test_compiled_module_is_what_generate_writes():
    written = generate.TARGET.read_text(encoding="utf-8")
    assert set(_compiled.TABLE) == {d.name for d in DEFINITIONS}
    if f"Sympy {sympy.__version__}." not in written:
        pytest.skip("another sympy orders terms differently; the numbers are tested above")
    assert generate.generate() == written


def test_no_activation_of_the_catalogue_imports_sympy():
    code = (
        "import sys, time\n"
        "from spectra.activations import get_activation, names\n"
        "start = time.perf_counter()\n"
        "found = [get_activation(n) for n in names()]\n"
        "each = (time.perf_counter() - start) / len(found)\n"
        "[a.derivative([0.1, -0.1]) for a in found]\n"
        "assert not {'sympy', 'mpmath', 'pydantic', 'matplotlib'} & set(sys.modules)\n"
        "assert each < 2e-3, each\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize("name", sorted(symbolic.PRIMITIVES))
def test_primitives_agree_with_their_definition_rule_and_number(name):
    primitive, x = symbolic.PRIMITIVES[name], symbolic.X
    definition = primitive.definition(x)
    exact = sympy.lambdify([x], [definition, sympy.diff(definition, x)], modules="mpmath")
    rule = sympy.lambdify([x], symbolic.elementary(primitive.rule(x)), modules="mpmath")
    points = [-0.9, -0.3, 0.2, 1.7, 12.5, 0.3 + 0.6j, 2.0 - 0.9j] + [-20.1, -3.4 + 0.8j] * (name != "log1p")
    for z in points:
        with mpmath.workdps(250):
            value, slope = exact(mpmath.mpmathify(z))
            assert abs(rule(mpmath.mpmathify(z)) - slope) < mpmath.mpf(10) ** -50 * abs(slope)
            assert abs(primitive.mp(mpmath, mpmath.mpmathify(z)) - value) < mpmath.mpf(10) ** -50 * abs(value)
        computed = complex(getattr(primitives, name)(np.asarray(z)))
        assert abs(computed - complex(value)) <= 1e-13 * abs(complex(value))
