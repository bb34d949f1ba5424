"""Brute force, to test the derivation against: no formula of the theory is used here.

Φ comes from integrating the gradient flow (or iterating the gradient-descent map), its derivatives
from central differences, the moments of the noise from averaging the recursion's own step over
the definition of its law. What this costs in accuracy is stated function by function.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from derive import Bernoulli, Choice, Gaussian, Independent, Minibatch, Rademacher, Uniform
from derive.laws.law import Law
from derive.laws.scaled import Scaled

Array = NDArray[np.float64]
Flow = Callable[[Array], Array]

STEP = 1e-2
"""Spacing of the differences: truncation ~ STEP⁶ and round-off ~ 1e-13 / STEP² are both ≲ 1e-9."""

CLOSE = 1e-9
"""|∇L| at which a flow line is cut; one Newton step then lands within CLOSE² of its end."""

FIRST = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60
SECOND = np.array([2, -27, 270, -490, 270, -27, 2]) / 180
OFFSETS = np.arange(-3, 4)


def array_function(
    expressions: Sequence[sp.Expr], arguments: Sequence[sp.Symbol]
) -> Callable[[Array], Array]:
    """(…, len(arguments)) → (…, len(expressions)), constants broadcast."""
    compiled = sp.lambdify(list(arguments), list(expressions), modules="numpy", cse=True)

    def evaluate(x: Array) -> Array:
        values = compiled(*np.moveaxis(np.asarray(x, float), -1, 0))
        return np.stack([np.broadcast_to(v, np.shape(x)[:-1]) for v in values], axis=-1)

    return evaluate


@dataclass(frozen=True)
class Landscape:
    """A loss by its gradient (…, N) → (…, N) and its Hessian (…, N) → (…, N, N)."""

    gradient: Callable[[Array], Array]
    hessian: Callable[[Array], Array]

    @classmethod
    def of(cls, loss: sp.Expr, weights: Sequence[sp.Symbol]) -> Landscape:
        n = len(weights)
        hessian = array_function(list(sp.hessian(loss, weights)), weights)
        gradient = array_function([loss.diff(w) for w in weights], weights)
        return cls(gradient, lambda x: hessian(x).reshape(*np.shape(x)[:-1], n, n))

    def normal_inverse(self, x: Array) -> Array:
        """H⁺ near Γ, where the eigenvalues split into O(1) and O(distance to Γ)."""
        values, vectors = np.linalg.eigh(self.hessian(x))
        positive = values > 1e-4 * values.max(axis=-1, keepdims=True)
        inverse = np.where(positive, 1 / np.where(positive, values, 1), 0)
        return np.einsum("...ia,...a,...ja->...ij", vectors, inverse, vectors)

    def newton_step(self, x: Array) -> Array:
        """x − H⁺∇L(x), which is Φ(x) up to the square of the distance to Γ."""
        return x - np.einsum("...ij,...j->...i", self.normal_inverse(x), self.gradient(x))

    def retract(self, x: Sequence[float] | Array) -> Array:
        """A point of Γ close to `x`, by Newton's iteration, to round-off."""
        point = np.asarray(x, float)
        for _ in range(50):
            point = self.newton_step(point)
        assert np.abs(self.gradient(point)).max() < 1e-13, "no point of Γ found"
        return point

    def projector(self, w: Array) -> Array:
        """P on the kernel of H at a point of Γ, to round-off."""
        return np.eye(len(w)) - self.normal_inverse(w) @ self.hessian(w)

    def flow_end(self, x: Array) -> Array:
        """Φ(x), the end of the gradient flow from each row of `x`, to about 1e-13."""
        shape = np.shape(x)
        y = np.asarray(x, float)
        while np.abs(self.gradient(y)).max() > CLOSE:
            solution = solve_ivp(
                lambda _, v: -self.gradient(v.reshape(shape)).ravel(),
                (0, 5),
                y.ravel(),
                method="DOP853",
                rtol=1e-13,
                atol=1e-15,
                t_eval=[5],
            )
            assert solution.success, solution.message
            y = solution.y[:, -1].reshape(shape)
        return self.newton_step(y)

    def descent_end(self, x: Array, alpha: float) -> Array:
        """Φ_α(x), the end of gradient descent with step α from each row of `x`, to round-off."""
        y = np.asarray(x, float)
        for _ in range(100_000):
            step = self.gradient(y)
            if np.abs(step).max() < CLOSE:
                return self.newton_step(y)
            y = y - alpha * step
        raise AssertionError("gradient descent does not converge")


def derivative(end: Flow, w: Array) -> Array:
    """DΦ(w), matrix (N, N), by sixth-order differences of the batched map `end`."""
    n = len(w)
    ends = end(w + STEP * OFFSETS[:, None, None] * np.eye(n)[None])
    return np.einsum("o,oji->ij", FIRST, ends) / STEP


def second_derivative(end: Flow, w: Array, matrix: Array) -> Array:
    """D²Φ(w)[S] for symmetric S, by sixth-order differences along the eigenvectors of S."""
    values, vectors = np.linalg.eigh(matrix)
    used = np.abs(values) > 1e-14 * np.abs(values).max()
    if not values.any():
        return np.zeros_like(w)
    directions = vectors.T[used]
    ends = end(w + STEP * OFFSETS[:, None, None] * directions[None])
    return np.einsum("o,a,oai->i", SECOND, values[used], ends) / STEP**2


def second_fundamental_form(landscape: Landscape, w: Array, matrix: Array) -> Array:
    """II[S] = Σ_a λ_a II(u_a, u_a) of a tangential S, from differences of the projector along Γ."""
    values, vectors = np.linalg.eigh(matrix)
    total = np.zeros_like(w)
    for value, u in zip(values, vectors.T, strict=True):
        if abs(value) > 1e-14 * np.abs(values).max():
            along = landscape.flow_end(w + STEP * OFFSETS[:, None] * u)
            turned = np.array([landscape.projector(point) @ u for point in along])
            total += value * (FIRST @ turned) / STEP
    return total - landscape.projector(w) @ total


Draws = tuple[Array, Array]
"""Values of η, shape (K, d), and their probabilities, shape (K,)."""


def draws(law: Law, noise: Sequence[sp.Symbol], sigma: float) -> Draws:  # noqa: PLR0911
    """The law of η as finitely many draws, from the law's definition.

    Exact for the discrete laws; a rule of degree 5 for the continuous ones, which is enough for
    limits as σ → 0 of averages over σ².
    """
    d = len(noise)
    match law:
        case Gaussian(covariance=c):
            return _product(*[_symmetric(3, 1 / 6, sigma)] * d, mix=_root(c, d))
        case Uniform():
            return _product(*[_symmetric(9 / 5, 5 / 18, sigma)] * d)
        case Rademacher():
            return _product(*[_symmetric(1, 1 / 2, sigma)] * d)
        case Bernoulli():
            p = sigma**2 / (1 + sigma**2)
            return _product(*[(np.array([[-1.0], [p / (1 - p)]]), np.array([p, 1 - p]))] * d)
        case Minibatch(samples=n, batch_size=b, replacement=replacement):
            n, b = int(n), int(b)
            sets = itertools.product(range(n), repeat=b)
            batches = list(sets) if replacement else list(itertools.combinations(range(n), b))
            counts = np.array([np.bincount(batch, minlength=n) for batch in batches])
            return n / b * counts - 1, np.full(len(batches), 1 / len(batches))
        case Choice(values=values, probabilities=chances):
            return np.array(values, float), np.array(chances, float)
        case Scaled(law=inner):
            values, chances = draws(inner, noise, 1.0)
            return sigma * values, chances
        case Independent(groups=groups):
            values, probabilities = _product(*(draws(part, s, sigma) for s, part in groups))
            return values[:, [law.symbols.index(s) for s in noise]], probabilities
    raise NotImplementedError(law)


def _symmetric(square: float, probability: float, sigma: float) -> Draws:
    """Values 0 and ±σ√square, the outer two with `probability` each."""
    outer = sigma * np.sqrt(square)
    return np.array([[-outer], [0], [outer]]), np.array(
        [probability, 1 - 2 * probability, probability]
    )


def _product(*parts: Draws, mix: Array | None = None) -> Draws:
    choices = list(itertools.product(*(range(len(p)) for _, p in parts)))
    values = np.array([np.concatenate([parts[i][0][k] for i, k in enumerate(c)]) for c in choices])
    probabilities = np.array([np.prod([parts[i][1][k] for i, k in enumerate(c)]) for c in choices])
    return (values if mix is None else values @ mix.T), probabilities


def _root(covariance: sp.Matrix | None, d: int) -> Array:
    if covariance is None:
        return np.eye(d)
    values, vectors = np.linalg.eigh(np.array(covariance, float))
    return vectors * np.sqrt(values.clip(0))


@dataclass(frozen=True)
class NoisyGradient:
    """The recursion's step ∇_wL̂(w, η), with the law of η."""

    field: Callable[[Array], Array]
    noise: tuple[sp.Symbol, ...]
    law: Law

    @classmethod
    def of(
        cls,
        step: Sequence[sp.Expr],
        weights: Sequence[sp.Symbol],
        noise: Sequence[sp.Symbol],
        law: Law,
    ) -> NoisyGradient:
        return cls(array_function(step, [*weights, *noise]), tuple(noise), law)

    def sample(self, w: Array, sigma: float) -> Draws:
        values, probabilities = draws(self.law, self.noise, sigma)
        at = np.concatenate([np.broadcast_to(w, (len(values), len(w))), values], axis=1)
        return self.field(at), probabilities

    def mean(self, w: Array) -> Array:
        """lim σ⁻² E ∇_wL̂ at w ∈ Γ, which the theory calls ∇Reg; to about 1e-9."""

        def at(sigma: float) -> Array:
            steps, probabilities = self.sample(w, sigma)
            return probabilities @ steps / sigma**2

        return noiseless(at)

    def covariance(self, w: Array) -> Array:
        """lim σ⁻² E ∇_wL̂ ∇_wL̂ᵀ at w ∈ Γ, which the theory calls Σ; to about 1e-9."""

        def at(sigma: float) -> Array:
            steps, probabilities = self.sample(w, sigma)
            return np.einsum("k,ki,kj->ij", probabilities, steps, steps) / sigma**2

        return noiseless(at)

    def drift_after_step(self, landscape: Landscape, w: Array, alpha: float) -> Array:
        """lim σ⁻² E[Φ_α(w − α∇_wL̂(w, η)) − w] at w ∈ Γ: motion along Γ of one noisy step."""

        def at(sigma: float) -> Array:
            steps, probabilities = self.sample(w, sigma)
            return probabilities @ (landscape.descent_end(w - alpha * steps, alpha) - w) / sigma**2

        return noiseless(at)


def noiseless(at: Callable[[float], Array], sigma: float = 0.04) -> Array:
    """Limit σ → 0 of a quantity that is smooth in σ², from four values of σ (Richardson)."""
    table = [at(sigma / 2**k) for k in range(4)]
    for order in range(1, 4):
        table = [
            (4**order * fine - coarse) / (4**order - 1)
            for coarse, fine in itertools.pairwise(table)
        ]
    return table[0]
