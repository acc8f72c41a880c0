"""Numbers to many digits, proven: closed forms, other routes at higher precision, and enclosures that must not lie."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
from balls import Balls
from flint import acb, arb, ctx, fmpq

from spectra import ConfigError, ConvergenceError, Network, predict
from spectra.activations import Activation, get_activation
from spectra.activations.definitions import DEFINITIONS
from spectra.activations.symbolic import X
from spectra.exact.ball_functions import BallFunction
from spectra.exact.budget import OverBudget, budget
from spectra.exact.enclosures import enclosed_zero
from spectra.exact.gaussian_balls import GaussianBalls
from spectra.exact.power_series import working_precision
from spectra.exact.precise import PreciseNetwork
from spectra.exact.record import enclosure
from spectra.exact.slope_balls import SlopeBalls

BITS = 140


def holds(ball: Any, value: Any) -> bool:
    """Whether a ball holds an mpmath number of 40 digits."""
    with working_precision(BITS):
        return bool(ball.overlaps(arb(mpmath.nstr(value, 42)) + arb(0, abs(float(value)) * 1e-39)))


@pytest.mark.parametrize("name", [d.name for d in DEFINITIONS])
def test_enclosures_of_activations_hold_their_values(name: str) -> None:
    activation = get_activation(name)
    with working_precision(BITS), mpmath.workdps(45):
        for branch, (value, slope) in zip(activation.branches, activation._formulas(), strict=True):
            function = BallFunction(value, slope)
            for x in (-7.3, -0.7, 0.3, 2.5, 11.0):
                if branch.lower < x < branch.upper:
                    # A point, and a ball about it, which must hold the value at both of its ends.
                    for at, around in ((x, arb(x)), (x + 0.25, arb(x, 0.25)), (x - 0.25, arb(x, 0.25))):
                        if branch.lower < at < branch.upper:
                            found = function(acb(around))
                            assert holds(found[0].real, activation.mp(mpmath.mpf(at)))
                            assert holds(found[1].real, activation.mp(mpmath.mpf(at), 1))


def test_balls_that_meet_a_cut_are_not_analytic() -> None:
    x = sympy.Symbol("x", real=True)
    for expression in (sympy.log(1 + x**2), sympy.sqrt(1 + x**2), sympy.atan(x), sympy.asinh(x)):
        function = BallFunction(expression)
        assert function(acb(0, 0.5), analytic=True)[0].is_finite()
        assert not function(acb(arb(0, 0.1), arb(2)), analytic=True)[0].is_finite()


def test_gaussian_expectations_of_gelu_are_the_known_formulas() -> None:
    """Of the closed forms for GELU: E φ'² = 1/4 + asin(q/(1+q))/2π + q/(π(1+q)√(1+2q)) + q/(2π(1+2q)^{3/2})."""
    for q in ("0.01", "1", "30"):
        with working_precision(BITS), mpmath.workdps(42):
            found = SlopeBalls(get_activation("gelu"), arb(q)).mean
            x = mpmath.mpf(q)
            angle = mpmath.asin(x / (1 + x)) / (2 * mpmath.pi)
            truth = mpmath.mpf(1) / 4 + angle + x / (mpmath.pi * (1 + x) * mpmath.sqrt(1 + 2 * x))
            truth += x / (2 * mpmath.pi * (1 + 2 * x) ** mpmath.mpf("1.5"))
            assert holds(found, truth)
            assert found.rel_accuracy_bits() > 110


@pytest.mark.parametrize("q", [1e-6, 0.3, 1e6])
@pytest.mark.parametrize("name", ["tanh", "silu", "gelu_tanh", "softsign", "hardswish"])
def test_expectations_at_any_variance_are_narrow_and_hold_the_truth(name: str, q: float) -> None:
    activation = get_activation(name)
    with working_precision(BITS), mpmath.workdps(42):
        found = SlopeBalls(activation, arb(q)).moment(2)
        root: Any = mpmath.sqrt(mpmath.mpf(q))
        near = [mpmath.mpf(2) ** k / root for k in range(-3, 12) if float(2**k / root) < 17]
        cuts = sorted(
            {0, 17, -17, *near, *(-c for c in near), *(mpmath.mpf(k) / root for k in activation.kinks), *range(-16, 17)}
        )
        cuts = [c for c in cuts if -17 <= c <= 17]
        truth = mpmath.quad(lambda z: mpmath.npdf(z) * activation.mp(root * z, 1) ** 4, cuts)
        assert holds(found, truth)
        assert found.rel_accuracy_bits() > 100


@pytest.mark.parametrize(
    ("activation", "sigma_b", "sigma_w"),
    [("tanh", 0.05, "1.12253900476958"), ("tanh", 0.1, "1.19340072502433"), ("hardtanh", 0.1, "1.02570035069277")],
)
def test_critical_weights_are_the_published_ones(activation, sigma_b, sigma_w) -> None:
    """Fifteen digits that other tools were measured against, and forty by mpmath's own root and quadrature."""
    net = Network(depth=4, activation=activation, sigma_w="critical", sigma_b=sigma_b)
    run = PreciseNetwork(net, 40).mean_field().runs[0]
    with working_precision(BITS):
        assert run.sigma_w2.sqrt().str(15, radius=False) == sigma_w
    if activation == "tanh":
        with mpmath.workdps(45):

            def mean(f: Any, q: Any) -> Any:
                return mpmath.quad(lambda z: mpmath.npdf(z) * f(mpmath.sqrt(q) * z), list(range(-17, 18)))

            def miss(q):
                slope = mean(lambda h: mpmath.sech(h) ** 4, q)
                return q - mean(lambda h: mpmath.tanh(h) ** 2, q) / slope - mpmath.mpf(str(sigma_b)) ** 2

            q = mpmath.findroot(miss, (0.15, 0.28), tol=1e-40)
            assert holds(run.law.q, q)


def test_edges_are_the_closed_forms() -> None:
    """Fuss-Catalan: (L+1)^{L+1}/L^L; ReLU, orthogonal: L^L/(L−1)^{L−1}; hard-tanh: p^{−L} while L(1 − p) < 1."""
    for depth in (1, 2, 7):
        net = Network(depth=depth, activation="identity", sigma_w=1.0, sigma_b=0.0, input_variance=1.0)
        edge = PreciseNetwork(net, 40).largest()
        with working_precision(300):
            assert edge.contains(arb(fmpq((depth + 1) ** (depth + 1), depth**depth)))
        assert edge.rel_accuracy_bits() > 3.32 * 40
    relu = Network(depth=5, activation="relu", weights="orthogonal", sigma_w="critical", sigma_b=0.0)
    # 3125/256 is a number of few bits.
    assert PreciseNetwork(relu, 40).largest().contains(fmpq(5**5, 4**4))
    atom = Network(depth=3, activation="hardtanh", weights="orthogonal", sigma_w="critical", q_star=0.3)
    with mpmath.workdps(45):
        assert holds(PreciseNetwork(atom, 40).largest(), mpmath.erf(1 / mpmath.sqrt(mpmath.mpf("0.6"))) ** -3)


def test_all_edges_of_two_bulks_to_40_digits() -> None:
    # One leaky layer of slopes 1 and 4, W of 12 rows and 120 columns: λ = −1/m + c Σ p a/(1 + a m), c = 1/10, a = 1, 16
    # (Silverstein and Choi, J. Multivariate Anal. 54 (1995)); its critical points are roots of degree 4.
    net = Network(depth=1, activation={"name": "leaky_relu", "negative_slope": 4.0}, sigma_w=1.0, input_variance=1.0,
                  width=12, input_width=120)  # fmt: skip
    with mpmath.workdps(60):
        c, pairs = mpmath.mpf(1) / 10, ((1, 0.5), (16, 0.5))
        m = sympy.Symbol("m")
        slope = sympy.together(
            1 / m**2 - sympy.Rational(1, 10) * sum(sympy.Rational(1, 2) * (a / (1 + a * m)) ** 2 for a, _ in pairs)
        )
        roots = mpmath.polyroots([mpmath.mpf(x) for x in sympy.Poly(sympy.numer(slope), m).all_coeffs()], maxsteps=200)
        expected = sorted(-1 / root.real + c * sum(p * a / (1 + a * root.real) for a, p in pairs) for root in roots)
        assert len(expected) == 4
        pred = predict(net, dps=40)
        record = pred.to_dict()
        bulks = [end for bulk in record["jacobian"]["bulks"] for end in bulk]
        assert [mpmath.nstr(x, 38) for x in expected] == [mpmath.nstr(mpmath.mpf(end), 38) for end in bulks]
        support = record["jacobian"]["support"]
        assert support == [bulks[0], bulks[3]]
        assert mpmath.mpf(record["singular_values"]["min"]) ** 2 == pytest.approx(mpmath.mpf(bulks[0]), rel=1e-38)


def test_an_edge_at_an_atom_of_mass_zero_is_exact() -> None:
    # Two layers lose half of their units each: 1 − 2/2 = 0 at 1.3⁴.
    net = Network(depth=2, activation="leaky_relu", weights="orthogonal", sigma_w=1.3, input_variance=1.0)
    assert PreciseNetwork(net, 30).largest().overlaps(arb(fmpq(28561, 10000)))


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_densities_are_those_of_fuss_and_catalan(depth: int) -> None:
    """λ = sin^{L+1}((L+1)φ)/(sin φ sin^L(Lφ)), ρ = sin²φ sin^{L−1}(Lφ)/(π sin^L((L+1)φ))."""
    net = Network(depth=depth, activation="identity", sigma_w=1.0, sigma_b=0.0, input_variance=1.0)
    precise = PreciseNetwork(net, 35)
    for location in (0.01, 0.7, 2.0):
        with mpmath.workdps(50):
            length = mpmath.mpf(depth)

            def place(phi, n=length):
                return mpmath.sin((n + 1) * phi) ** (n + 1) / (mpmath.sin(phi) * mpmath.sin(n * phi) ** n)

            goal = mpmath.mpf(str(location))
            phi = mpmath.findroot(
                lambda x, goal=goal: mpmath.log(place(x) / goal), (1e-3, 0.999 * mpmath.pi / (length + 1)),
                solver="anderson", tol=1e-45,
            )  # fmt: skip
            density = mpmath.sin(phi) ** 2 * mpmath.sin(length * phi) ** (length - 1)
            density /= mpmath.pi * mpmath.sin((length + 1) * phi) ** length
        found = precise.density(location)
        assert found.rel_accuracy_bits() > 3.32 * 35
        with working_precision(200):
            assert abs(found - arb(mpmath.nstr(density, 45))) < arb("1e-34") * found


@pytest.mark.parametrize("depth", [1, 4])
def test_at_zero_and_at_no_number_no_density_is_proven_and_below_it_is_none(depth: int) -> None:
    net = Network(depth=depth, activation="tanh", weights="orthogonal", sigma_w=1.2, sigma_b=0.3)
    record = predict(net, certify=True).to_dict(at=[0.0, math.nan, math.inf, -1.0], moments=1)
    # JJᵀ ≥ 0.
    assert {key: value for key, value in record["certified"].items() if "density" in key} == {
        "density(-1.0)": ("0", "0")
    }
    said = " ".join(record["checks"]["notes"])
    assert all(f"the density at λ = {place} is not proven" in said for place in ("0", "nan", "inf"))


@pytest.mark.parametrize(("name", "q", "depth", "location"), [("tanh", 0.5, 6, 0.8), ("gelu", 0.25, 3, 1.5)])
def test_densities_of_smooth_networks_are_those_of_an_equation_solved_elsewhere(name, q, depth, location) -> None:
    """`tests/balls.py` has its own integrals and its own Newton's method, to twenty digits."""
    net = Network(depth=depth, activation=name, weights="orthogonal", sigma_w="critical", q_star=q)
    found = float((PreciseNetwork(net, 25).density(location) * arb(str(location))).log().mid())
    law = Balls(name, q)
    start = _subordination_point(net, location)
    assert found == pytest.approx(law.log_density(depth, "orthogonal", location, start), rel=1e-15, abs=1e-15)


def _subordination_point(net: Network, location: float) -> complex:
    from spectra.continuation import locate
    from spectra.network.jacobian import jacobian_equation
    from spectra.network.meanfield import mean_field

    roots = locate(jacobian_equation(mean_field(net)), np.array([-math.log(location)]))
    return complex(roots.v[0, 0])


def test_lambda_max_is_that_of_the_engine_where_both_know_it() -> None:
    nets = [
        Network(depth=16, activation="tanh", weights="orthogonal", sigma_w="critical", q_star=0.1),
        Network(depth=3, activation="softplus", sigma_w=1.3, sigma_b=0.1),
        Network(
            layers=[{"activation": "erf", "width": 300}, {"activation": "leaky_relu", "width": 200}],
            input_width=100, sigma_w=1.3, sigma_b=0.1, input_variance=1.0,
        ),
    ]  # fmt: skip
    for net in nets:
        edge = PreciseNetwork(net, 20).largest()
        assert float(edge.mid()) == pytest.approx(predict(net).spectrum.support()[1], rel=1e-13)


def random_network(rng: np.random.Generator) -> Network:
    """Small networks of every kind, at variances where all is quick."""
    names = ["tanh", "relu", "gelu", "silu", "erf", "hardtanh", "elu", "softplus", "sin", "leaky_relu", "hardswish"]
    layers = [
        {"activation": str(rng.choice(names)), "weights": str(rng.choice(["gaussian", "orthogonal"]))}
        for _ in range(int(rng.integers(1, 4)))
    ]
    rounded = [round(float(x), 3) for x in rng.uniform([0.5, 0.0, 0.1], [2.0, 0.5, 3.0])]
    return Network(layers=layers, sigma_w=rounded[0], sigma_b=rounded[1], input_variance=rounded[2])


def test_no_enclosure_excludes_what_more_digits_say() -> None:
    """Twelve random networks: balls of 12 digits hold those of 40."""
    rng = np.random.default_rng(11)
    for _ in range(12):
        net = random_network(rng)
        rough, fine = PreciseNetwork(net, 12), PreciseNetwork(net, 40)
        pairs = [(a.law.q, b.law.q) for a, b in zip(rough.mean_field().runs, fine.mean_field().runs, strict=True)]
        pairs += [(a.chi, b.chi) for a, b in zip(rough.mean_field().runs, fine.mean_field().runs, strict=True)]
        pairs += zip(rough.moments(4), fine.moments(4), strict=True)
        location = float(predict(net).spectrum.icdf(0.9))
        if predict(net).spectrum.pdf(location) > 0.0:
            pairs.append((rough.density(location), fine.density(location)))
        for a, b in pairs:
            with working_precision(200):
                assert a.overlaps(b)
                assert b.rad() < a.rad() or a.rad() == 0


def test_an_enclosure_in_text_holds_the_ball() -> None:
    with working_precision(200):
        ball = arb(1).exp() + arb(0, 1e-25)
        middle, radius = enclosure(ball, 12)
        assert (arb(middle) + arb(0, arb(radius))).contains(ball)
        assert enclosure(arb(3), 12) == ("3.00000000000", "0")


def test_where_nothing_is_proven_it_is_said() -> None:
    # A slope without a bound.
    net = Network(depth=1, activation={"expr": "x**2/2"}, sigma_w=1.0, input_variance=0.5)
    record = predict(net, certify=True).to_dict(moments=2)
    assert record["certified"] == {}
    assert any("nothing is certified" in note for note in record["checks"]["notes"])
    with pytest.raises(ConvergenceError, match=r"did not arrive|no inclusion|singularity"):
        enclosed_zero(lambda x: x * x + 1, lambda x: 2 * x, arb(1.3), "x² + 1")
    gap = Network(depth=3, activation="hardtanh", weights="orthogonal", sigma_w="critical", q_star=0.3)
    with pytest.raises(ConvergenceError):
        PreciseNetwork(gap, 20).density(0.7)


@pytest.mark.parametrize(
    ("expression", "q", "mean_square"),
    [
        # e^{2h}/100, (2hθ(h))², (9x⁸/100)², (sinh h/20)²
        ("exp(x)/10", 20.0, lambda q: mpmath.exp(2 * q) / 100),
        ("relu(x)**2", 3.0, lambda q: 2 * q),
        ("x**9/100", 30000.0, lambda q: mpmath.mpf(81) / 10000 * mpmath.fac2(15) * q**8),
        ("cosh(x)/20", 200.0, lambda q: (mpmath.exp(2 * q) - 1) / 800),
    ],
)
def test_digits_of_slopes_that_grow_are_right_without_proof(expression: str, q: float, mean_square: Any) -> None:
    """The mass of φ'² may lie where the Gaussian has long faded: at z = 2√q for e^h."""
    net = Network(depth=1, activation={"expr": expression}, sigma_w=1.0, sigma_b=0.0, input_variance=q)
    precise = PreciseNetwork(net, 25)
    chi = precise.mean_field().runs[0].chi
    with mpmath.workdps(45), working_precision(BITS):
        value = mpmath.mpf(chi.mid().str(35, radius=False))
        assert abs(value / mean_square(mpmath.mpf(q)) - 1) < mpmath.mpf("1e-25")
    assert not precise.proven


def test_asinh_is_enclosed_at_large_variance() -> None:
    # E 1/(1 + h²) = √(π/2q) e^{1/2q} erfc(1/√(2q))
    net = Network(depth=1, activation={"expr": "asinh(x)"}, sigma_w=1.0, sigma_b=0.0, input_variance=30000.0)
    precise = PreciseNetwork(net, 25)
    with mpmath.workdps(45):
        half = 1 / mpmath.mpf(60000)
        expected = mpmath.sqrt(mpmath.pi * half) * mpmath.exp(half) * mpmath.erfc(mpmath.sqrt(half))
        assert holds(precise.mean_field().runs[0].chi, expected)
    assert precise.proven
    with working_precision(80):
        wide = acb(arb(5, 0.7), arb(0, 0.7))
        assert BallFunction(sympy.asinh(X))(wide)[0].is_finite()


def test_kinks_are_the_decimals_they_are_written_as() -> None:
    """Hard tanh between ∓1/10: χ = erf(1/(10 √(2q))), which a kink at the double 0.1 misses in the 17th digit."""
    hard = {"name": "hardtanh", "min_val": -0.1, "max_val": 0.1}
    net = Network(depth=2, activation=hard, weights="orthogonal", sigma_w=1.0, sigma_b=0.0, input_variance=0.5)
    first, second = PreciseNetwork(net, 35).mean_field().runs
    with mpmath.workdps(45):
        place = mpmath.mpf(1) / 10
        assert holds(first.chi, mpmath.erf(place))
        # E φ² = E min(h², 1/100), h of variance ½.
        inside = mpmath.quad(lambda h: h * h * mpmath.exp(-h * h) / mpmath.sqrt(mpmath.pi), [-place, 0, place])
        assert holds(second.q, inside + mpmath.erfc(place) / 100)


def test_slopes_of_the_sign_of_x_alone_are_not_homogeneous_with_an_offset() -> None:
    # E (relu(h) + 1)² = q/2 + 2 √(q/2π) + 1.
    net = Network(depth=3, activation={"expr": "relu(x) + 1"}, sigma_w=1.1, sigma_b=0.1, input_variance=1.0)
    runs = PreciseNetwork(net, 30).mean_field().runs
    found = [q for run in runs for q in run.variances]
    with mpmath.workdps(45):
        q = mpmath.mpf("1.22")
        for ball in found:
            assert holds(ball, q)
            q = mpmath.mpf("1.21") * (q / 2 + 2 * mpmath.sqrt(q / (2 * mpmath.pi)) + 1) + mpmath.mpf("0.01")
    assert len(found) == 3


def test_what_is_raised_within_an_integral_is_not_lost() -> None:
    """FLINT drops exceptions of its callbacks: Ctrl-C would do nothing."""

    def interrupted(_: Any) -> Any:
        raise KeyboardInterrupt

    with working_precision(64), pytest.raises(KeyboardInterrupt):
        GaussianBalls(get_activation("tanh"), arb(1)).of_slope(interrupted, arb(1))


def test_work_is_capped() -> None:
    with working_precision(100), pytest.raises(OverBudget), budget(100):
        SlopeBalls(get_activation("tanh"), arb(1)).moment(1)


def test_activations_without_enclosures_are_refused() -> None:
    """A kink that is no decimal would be wrong in the seventeenth digit."""
    net = Network(depth=2, activation={"expr": "max(tanh(x), x/2)"}, sigma_w=1.0, sigma_b=0.1, input_variance=1.0)
    with pytest.raises(ConfigError, match="kink"):
        PreciseNetwork(net, 20).moments(2)
    callable_ = Activation.from_callable(np.tanh, lambda x: 1.0 - np.tanh(x) ** 2)
    with pytest.raises(ConfigError, match="callable"):
        PreciseNetwork(Network(depth=2, activation=callable_, sigma_w=1.0, sigma_b=0.1), 20).mean_field()


def test_precision_is_left_as_it_was() -> None:
    before = ctx.prec, ctx.cap
    PreciseNetwork(Network(depth=2, activation="tanh", sigma_w="critical", q_star=0.5), 30).moments(3)
    assert (ctx.prec, ctx.cap) == before


def test_mass_beyond_the_reach_is_bounded() -> None:
    with working_precision(80):
        over = GaussianBalls(get_activation("tanh"), arb(1))
        # Without the tails the ball would be narrower than P(|z| > R) times the bound.
        assert float(over.of_slope(lambda t: t, arb(1)).real.rad()) >= float(over.outside.lower())


@pytest.mark.parametrize("name", ["hardtanh", "shifted_relu", "relu6", "hardswish", "leaky_relu", "erf"])
def test_every_enclosure_is_as_narrow_as_was_asked_for(name: str) -> None:
    net = Network(activation=name, weights="orthogonal", depth=3, sigma_w=1.1, sigma_b=0.1, input_variance=0.3)
    found = predict(net, dps=40, certify=True).to_dict()["certified"]
    assert {"sigma_w", "chi_layer_1", "mu_1", "mu_2", "m_1", "m_6"} <= found.keys()
    for middle, radius in found.values():
        assert mpmath.mpf(radius) <= mpmath.mpf("1e-39") * abs(mpmath.mpf(middle))
    if name == "hardtanh":
        # P(|√q z| < 1), q = 1.21·0.3 + 0.01
        with mpmath.workdps(45):
            exact = mpmath.erf(1 / mpmath.sqrt(2 * (mpmath.mpf("1.1") ** 2 * mpmath.mpf("0.3") + mpmath.mpf("0.01"))))
            assert abs(mpmath.mpf(found["mu_1"][0]) - exact) <= mpmath.mpf(found["mu_1"][1])
