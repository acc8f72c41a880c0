"""Residual blocks: x ← βx + α(Wφ(x) + b), φ before the weights, or x ← βx + αφ(Wx + b), φ after them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ...errors import ConfigError
from ...quadrature import Array
from ..expectations import gaussian_moments
from ..schema import ORDERS, SCALES
from .architecture import Back, Level, Norms, Passed, Signal, Taken
from .branch import Branch, seconds
from .course import LARGEST, SMALLEST, affine_course, settled
from .dense import is_linear
from .plain import Plain

if TYPE_CHECKING:
    from ..config import LayerSpec
    from ..resolve import ResolvedRun, Start


# Means of x this much smaller than its size move no eigenvalue.
NO_MEAN = 1e-9


class Residual(Plain):
    """J_l = β1 + αW D, D = diag φ'(x_{l−1}) ("pre"), or β1 + αD W, D = diag φ'(Wx_{l−1} + b) ("post").

    With r = E x², μ = E x of a neuron: pre, h = x_{l−1}, r ← β²r + α²(σ_w² E φ(√r z)² + σ_b²), μ ← βμ; post,
    Var h = σ_w² r + σ_b², r ← β²r + α² E φ(h)² + 2αβ μ E φ(h), μ ← βμ + α E φ(h). χ = β² + α²σ_w² E φ'(h)².

    With n = `branch_layers` matrices in a branch, W stands for W_n D_n ⋯ D_2 W_1, D_k = diag φ'(h_k), h_2 = W_1 φ(x) +
    b or, post, W_1 x + b, and so on through n − 1 dense layers of one σ_w and σ_b; what it gives is W_n φ(h_n) + b,
    and χ = β² + α²σ_w^{2n} Π E φ'². h, and q = Var h, are those of the φ that stands beside the sum: of x, pre, or of
    what the last weights give, post.

    Notes
    -----
    A pre-activation block reads x itself, which is a normal variable where it is x_0, comes from a linear layer or from
    other such blocks; after φ of another kind of layer it is not, and mean field refuses it.

    Source
    ------
    Yang, Schoenholz, NeurIPS 2017, for pre-activation (their V and W with one of them 1); He et al., ECCV 2016, for
    branches of two layers with φ before each; the rest by the same steps.
    """

    keys: tuple[str, ...] = ("alpha", "skip", "order", "branch_layers")
    noun = "residual block"
    keeps_width = True
    settles = False
    rests = False
    is_product = False
    is_free = False
    keeps_scale = True

    def options(self, table: Mapping[str, Any], path: str, count: int) -> dict[str, Any]:
        """α, β, the order and the layers of a branch; α is a number here (`scales.spread`)."""
        if "alpha" not in table:
            raise ConfigError(f'`{path}alpha`: missing; a residual layer needs a positive number, or "{SCALES[0]}".')
        return {
            "alpha": float(table["alpha"]),
            "skip": float(table.get("skip", 1.0)),
            "order": table.get("order", ORDERS[0]),
            "branch_layers": table.get("branch_layers", 1),
        }

    def details(self, spec: LayerSpec) -> str:
        """α, β where it is not 1, where the activation stands, and the layers of a branch where there are several."""
        alpha, beta = _numbers(spec)
        skip = f", β = {beta:.6g}" if beta != 1.0 else ""
        layers = f", branches of {spec.branch_layers} layers" if spec.branch_layers > 1 else ""
        where = "activation after the sum" if spec.order == "sum" else f"{spec.order}-activation"
        return f", α = {alpha:.6g}{skip}, {where}{layers}"

    def skip(self, spec: LayerSpec, level: Level | None = None) -> float:
        """β."""
        return _numbers(spec)[1]

    def scale(self, spec: LayerSpec, level: Level | None = None) -> float:
        """α."""
        return _numbers(spec)[0]

    def gain(self, spec: LayerSpec, level: Level) -> float:
        """α²σ_w^{2n} of n layers in a branch."""
        return (_numbers(spec)[0] * float(spec.sigma_w) ** spec.branch_layers) ** 2

    def reads_state(self, spec: LayerSpec) -> bool:
        """Where the activation comes first."""
        return spec.order == "pre"

    def adds_means(self, spec: LayerSpec, level: Level) -> bool:
        """Post: where x has a mean already."""
        return spec.order == "post" and abs(level.entering.mean) > NO_MEAN * math.sqrt(level.entering.second)

    def hidden(self, spec: LayerSpec, q: float, level: Level) -> tuple[float, ...]:
        """Var h_2 … Var h_n."""
        branch = Branch.of(spec)
        if spec.order == "pre":
            return branch.within(branch.second(q))
        # Post: q is what the last weights give, x what the first ones take.
        return branch.within(level.entering.second)

    def take(self, spec: LayerSpec, x: np.ndarray) -> Taken:
        """Pre: φ(x), φ'(x). Post: x."""
        if spec.order == "post":
            return Taken(x, None)
        return Taken(spec.activation(x), spec.activation.derivative(x))

    def give(self, spec: LayerSpec, x: np.ndarray, image: np.ndarray) -> Passed:
        """Pre: βx + α·image, h = x. Post: βx + αφ(image), h = image."""
        alpha, beta = _numbers(spec)
        if spec.order == "post":
            slopes = alpha * spec.activation.derivative(image)
            return Passed(beta * x + alpha * spec.activation(image), image, slopes)
        return Passed(beta * x + alpha * image, x, np.full_like(x, alpha))

    def chi(self, run: ResolvedRun, level: Level) -> float:
        """β² + α²σ_w^{2n} Π E φ'²."""
        spec, moments = run.spec, gaussian_moments(run.spec.activation)
        slopes = math.prod(moments.at(v).slope2 for v in self.hidden(spec, level.q, level))
        return _numbers(spec)[1] ** 2 + self.gain(spec, level) * level.moments.slope2 * slopes

    def levels(self, run: ResolvedRun, entering: Signal, begin: Start) -> Iterator[Level]:
        """Block by block until x rests; all at once where h follows an affine map."""
        spec, moments = run.spec, gaussian_moments(run.spec.activation)
        if spec.order == "pre" and not entering.gaussian:
            raise ConfigError(
                '`order = "pre"`: such a block reads x itself, which is not Gaussian where it comes from an '
                'activation: put a dense layer of activation "identity" before it, or other blocks of order "pre" '
                'alone, or use "post".'
            )
        if spec.order == "pre" and moments.scale_free is not None:
            yield Level(entering.second, moments.at(1.0), spec.repeat, entering)
            return
        branch = Branch.of(spec)
        changes = (math.inf, math.inf)
        for done in range(spec.repeat):
            q = entering.second if spec.order == "pre" else branch.leaving(entering.second)
            if q < SMALLEST:
                q = 0.0
            level = Level(q, moments.at(q if q <= LARGEST else 0.0), 1, entering)
            following = self.leaving(spec, level)
            before, changes = changes, (following.second - entering.second, following.mean - entering.mean)
            rests = settled(entering.second, changes[0], before[0])
            # A mean that dies out is nothing long before doubles end.
            rests = rests and settled(math.sqrt(entering.second), changes[1], before[1])
            if rests or not q <= LARGEST:
                yield level._replace(repeat=spec.repeat - done)
                return
            yield level
            entering = following

    def variances(self, spec: LayerSpec, q: float, steps: ArrayLike) -> Array:
        """Variance `steps` blocks after q: constant within a level unless it follows an affine map."""
        kappa = gaussian_moments(spec.activation).scale_free
        if spec.order == "post" or kappa is None:
            return np.full(np.asarray(steps).shape, q)
        (alpha, beta), (factor, shift) = _numbers(spec), Branch.of(spec).affine(kappa)
        return affine_course(q, beta**2 + alpha**2 * kappa * factor, alpha**2 * shift, steps)

    def leaving(self, spec: LayerSpec, level: Level) -> Signal:
        """The x after the last block of the level."""
        (alpha, beta), entering = _numbers(spec), level.entering
        moments = gaussian_moments(spec.activation)
        if spec.order == "pre":
            if moments.scale_free is not None:
                return Signal(float(self.variances(spec, level.q, level.repeat)), gaussian=True)
            second = beta**2 * entering.second + alpha**2 * Branch.of(spec).leaving(level.moments.second)
            return Signal(second, gaussian=True)
        first = moments.first(level.q)
        cross = 2.0 * alpha * beta * entering.mean * first
        mean = beta * entering.mean + alpha * first
        gaussian = entering.gaussian and is_linear(spec)
        return Signal(beta**2 * entering.second + alpha**2 * level.moments.second + cross, lambda: mean, gaussian)

    def back(self, spec: LayerSpec, level: Level, profile: Array | None) -> Back:
        """α² g², with E φ'² (post) before the weights, and β² + α² σ_w² ⋯."""
        alpha, beta = _numbers(spec)
        q = self.variances(spec, level.q, np.arange(level.repeat))
        slope2 = level.moments.slope2
        if self.reads_state(spec):
            # What stands beside the sum comes first: φ takes x itself.
            entering = q
            given, passed, fed = Branch.of(spec).back(seconds(spec.activation, q))
            given = alpha**2 * given
        else:
            entering = np.full(q.shape, level.entering.second)
            given, passed, fed = Branch.of(spec).back(entering)
            given = alpha**2 * slope2 * given
        return Back(entering, beta**2 + alpha**2 * slope2 * passed, given, fed)

    def effect(self, spec: LayerSpec) -> str:
        """It adds."""
        deep = spec.branch_layers > 1
        adds = "α² times σ_w² E φ'² of each layer of its branch" if deep else "α²σ_w² E φ'²"
        return f"adds {adds} to the mean square of gradients and spreads directions by about as much"

    def torch(self, spec: LayerSpec) -> str:
        """The sum."""
        branch = "self.linear(self.phi(x))" if self.reads_state(spec) else "self.phi(self.linear(x))"
        return f"self.skip * x + self.alpha * {branch}"

    def norms(self, spec: LayerSpec, level: Level, slope: float, spread: float) -> Norms:
        """|β| and s = √gain (sup |φ'| ‖W‖/σ_w)^n."""
        branch = math.sqrt(self.gain(spec, level)) * (slope * spread) ** spec.branch_layers
        return Norms(1.0, 1.0, abs(_numbers(spec)[1]), branch)


def _numbers(spec: LayerSpec) -> tuple[float, float]:
    """α and β."""
    assert spec.alpha is not None
    assert spec.skip is not None
    return spec.alpha, spec.skip
