"""What is asked of a matrix model at points: no N × N matrix is formed, and no entry written.

On Γ, H = (c/n) JᵀJ has the non-zero eigenvalues of K = (c/n) J Jᵀ, and Σ = a Hᵏ. With the function
x(λ) = a λᵏ/(2λ − τλ²) of H for the stationary covariance, the drift is a gradient along Γ,

    P D²Φ_α[Σ] = −P D³L[x(H)] = −P ∇ tr Ξ(K),   Ξ' = x,

and ∇ tr Ξ(K) is the gradient of (c/n) Σ_ij M_ij ⟨∂h_i, ∂h_j⟩ at M = x(K) held fixed. P is applied
by solving J Jᵀ λ = J v with conjugate gradients on Jacobian-vector products, preconditioned by a
Cholesky factor of J Jᵀ (n × n) at an earlier point, renewed when it no longer serves, or when J Jᵀ
is at hand.

References
----------
Blanc, Gupta, Valiant, Valiant, COLT 2020, Theorem 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy
from numpy.typing import NDArray

from derive import Limit
from derive.objectives.traces import TraceMoments, Traces

from ..codegen.matrices import MatrixFunctions
from .local_model import LocalModel, equation_numbers, local_model

Array = NDArray[np.float64]

SOLVE_TOLERANCE = 1e-6
"""Relative residual at which conjugate gradients stop; retraction removes what it leaves."""

PATIENCE = 12
"""Iterations after which the preconditioner is renewed."""

RIDGE = 1e-12
"""Added to J Jᵀ relative to its trace: its rank falls at a collapse or by redundant samples."""

RETRACTION_TOLERANCE = 1e-8
"""Residuals h − y on Γ, relative to the size of the targets."""

RETRACTION_STEPS = 8

ARRIVED = 1e-9
"""Residuals, relative to the targets, at which flow and descent have come close to Γ."""

LONGEST_FLOW = 10**5
"""Steps after which a flow that has not come to Γ is given up."""

LONGEST_DESCENT = 10**6
"""Steps after which descent that has not come to Γ is given up."""


class GramSolver:
    """Solves J Jᵀ λ = right along a path."""

    def __init__(self, model: MatrixFunctions) -> None:
        self.model = model
        self._factor: tuple[Array, bool] | None = None

    def solve(self, w: Array, right: Array, guess: Array | None = None) -> Array:
        """Multipliers λ, shape (n,), at the weights w, shape (N,).

        Parameters
        ----------
        w : ndarray, shape (N,)
        right : ndarray, shape (n,)
            In the range of J (its other part is not seen).
        guess : ndarray, shape (n,), optional
            Where to start.
        """
        x = np.zeros_like(right) if guess is None else guess
        goal = SOLVE_TOLERANCE * float(np.linalg.norm(right))
        if self._factor is None:
            self.renew(self.model.gram(w))
        x, missing = self._iterate(w, right, x, goal)
        if missing > goal:
            self.renew(self.model.gram(w))
            x, missing = self._iterate(w, right, x, goal)
        return x

    def renew(self, gram: Array) -> None:
        """Factorize J Jᵀ of the point at hand, shape (n, n), which is overwritten."""
        gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram)
        self._factor = scipy.linalg.cho_factor(
            gram, lower=True, overwrite_a=True, check_finite=False
        )

    def _iterate(self, w: Array, right: Array, x: Array, goal: float) -> tuple[Array, float]:
        """At most PATIENCE preconditioned conjugate gradient steps; the residual that is left."""
        r = right - self._gram(w, x)
        z = scipy.linalg.cho_solve(self._factor, r, check_finite=False)
        p, product = z, float(r @ z)
        for _ in range(PATIENCE):
            if np.linalg.norm(r) <= goal:
                break
            moved = self._gram(w, p)
            length = product / float(p @ moved)
            x = x + length * p
            r = r - length * moved
            z = scipy.linalg.cho_solve(self._factor, r, check_finite=False)
            before, product = product, float(r @ z)
            p = z + (product / before) * p
        return x, float(np.linalg.norm(r))

    def _gram(self, w: Array, c: Array) -> Array:
        return self.model.jvp(w, self.model.vjp(w, c))


@local_model.register(Traces)
def _model(objective: Traces, limit: Limit) -> LocalModel:
    """Matrix by matrix; in entries, if they are few, where the limit has a diffusion."""
    if objective.noise.power > 0:
        return MatrixFreeModel(limit)
    written = limit.written_out()
    return local_model(written.problem.objective, written)


@dataclass(frozen=True)
class MatrixFreeModel(LocalModel):
    """The local model of a problem with matrices for weights.

    Attributes
    ----------
    limit : Limit
        A deterministic limit.

    """

    limit: Limit

    def __post_init__(self) -> None:
        _ = self.functions.shapes

    @property
    def moments(self) -> TraceMoments:
        """Reg and Σ."""
        assert isinstance(self.limit.moments, TraceMoments)
        return self.limit.moments

    @cached_property
    def functions(self) -> MatrixFunctions:
        """The model on its data."""
        objective = self.limit.problem.objective
        assert isinstance(objective, Traces)
        return MatrixFunctions(objective)

    @property
    def is_noisy(self) -> bool:
        """No: Σ is normal to Γ."""
        return False

    @cached_property
    def _numbers(self) -> dict[str, float]:
        return equation_numbers(self.limit)

    @property
    def _scale(self) -> float:
        """c/n, with H = (c/n) JᵀJ."""
        return float(self.functions.words.weight) / self.functions.samples

    def slope(self, w: Array, gram: Array | None = None) -> Array:
        """The field −∇V of which the drift is the tangential part, shape (N,).

        Parameters
        ----------
        w : ndarray, shape (N,)
        gram : ndarray, shape (n, n), optional
            J Jᵀ there, computed where it is needed if not given.
        """
        noise, numbers = self.moments.noise, self._numbers
        total = np.zeros(len(w))
        if any(not v.is_ZeroMatrix for v in self.limit.slope):
            total -= float(noise.slope) * self.functions.squared_gradient_slope(w)
        if numbers["ito"] != 0 and noise.multiple != 0:
            weight = -numbers["ito"] * float(self.functions.words.weight * noise.multiple)
            if not self._mixes_samples:
                return total + weight / 2 * self.functions.squared_gradient_slope(w)
            k = self._scale * (self.functions.gram(w) if gram is None else gram)
            mixing = np.linalg.inv(2.0 * np.eye(len(k)) - numbers["damping"] * k)
            for _ in range(noise.power - 1):
                mixing = k @ mixing
            total += weight * self.functions.squared_gradient_slope(w, (mixing + mixing.T) / 2)
        return total

    @property
    def _mixes_samples(self) -> bool:
        """Whether x(K) is a matrix other than ½."""
        return self._numbers["damping"] != 0 or self.moments.noise.power != 1

    def drift(
        self, solver: GramSolver, w: Array, guess: Array | None = None
    ) -> tuple[Array, Array]:
        """Drift at a point of Γ, shape (N,), and the multipliers that project it, shape (n,).

        Parameters
        ----------
        solver : GramSolver
            For the model.
        w : ndarray, shape (N,)
            A point of Γ.
        guess : ndarray, shape (n,), optional
            Multipliers at a point close by.
        """
        gram = self.functions.gram(w) if self._mixes_samples else None
        slope = self.slope(w, gram)
        if gram is not None:
            solver.renew(gram)
        found = solver.solve(w, self.functions.jvp(w, slope), guess)
        return slope - self.functions.vjp(w, found), found

    def retract(self, solver: GramSolver, w: Array) -> Array:
        """A point of Γ near w, by Gauss–Newton steps of least norm; as far as they reach."""
        goal = RETRACTION_TOLERANCE * np.linalg.norm(self.functions.targets)
        for _ in range(RETRACTION_STEPS):
            r = self.functions.residuals(w)
            if np.linalg.norm(r) <= goal:
                break
            w = w - self.functions.vjp(w, solver.solve(w, r))
        return w

    def is_on_manifold(self, w: Array, factor: float = 10.0) -> bool:
        """Whether the residuals at w are those of a point of Γ."""
        goal = factor * RETRACTION_TOLERANCE * float(np.linalg.norm(self.functions.targets))
        return bool(np.linalg.norm(self.functions.residuals(w)) <= goal)

    # As of every local model --------------------------------------------------------------------

    def equations(self, points: Array) -> tuple[Array, Array]:
        """Itô drift b, shape (P, N), and no diffusion, shape (P, N, 0)."""
        solver = GramSolver(self.functions)
        drifts = [self.drift(solver, w)[0] for w in points]
        return np.array(drifts).reshape(points.shape), np.zeros((*points.shape, 0))

    def frames(self, points: Array) -> tuple[Array, Array]:
        """Non-zero eigenvalues of H, descending (P, K), and eigenvectors as rows (P, K, N)."""
        rank = min(self.functions.samples, self.functions.dimension)
        found = [np.linalg.svd(self.functions.jacobian(w), full_matrices=False) for w in points]
        sizes = np.array([self._scale * s[:rank] ** 2 for _, s, _ in found])
        return sizes, np.array([rows[:rank] for *_, rows in found])

    def spectrum(self, points: Array) -> Array:
        """Non-zero eigenvalues of H, descending, shape (P, K)."""
        rank = min(self.functions.samples, self.functions.dimension)
        values = [np.linalg.eigvalsh(self.functions.gram(w))[::-1][:rank] for w in points]
        return self._scale * np.maximum(np.array(values), 0.0)

    def regularizer(self, points: Array) -> Array:
        """Reg on Γ, shape (P,)."""
        noise = self.moments.noise
        squared = [self.functions.squared_gradient(w) for w in points.reshape(-1, points.shape[-1])]
        reg = float(noise.constant) + float(noise.slope) * np.array(squared)
        return reg.reshape(points.shape[:-1])

    def retractions(self, points: Array) -> Array:
        """Points of Γ close by; NaN where none was found."""
        solver = GramSolver(self.functions)
        moved = [self.retract(solver, w) for w in points]
        return np.array([w if self.is_on_manifold(w) else np.full_like(w, np.nan) for w in moved])

    def flow_ends(self, points: Array) -> Array:
        """Ends of the gradient flow, close to Γ."""
        return np.array([self._flow_end(w) for w in points])

    def descent_ends(self, points: Array, velocities: Array, rates: tuple[float, float]) -> Array:
        """Ends of gradient descent with `rates` (α, β), close to Γ."""
        pairs = zip(points, velocities, strict=True)
        return np.array([self._descent_end(w, v, rates) for w, v in pairs])

    def loss_gradient(self, w: Array) -> Array:
        """∇L at a point, shape (N,)."""
        return self._scale * self.functions.vjp(w, self.functions.residuals(w))

    def _has_arrived(self, w: Array) -> bool:
        goal = ARRIVED * np.linalg.norm(self.functions.targets)
        return bool(np.linalg.norm(self.functions.residuals(w)) <= goal)

    def _flow_end(self, w: Array) -> Array:
        if self._has_arrived(w):
            return w
        tolerances = {"rtol": 1e-9, "atol": 1e-12}
        solver = scipy.integrate.RK45(
            lambda _, u: -self.loss_gradient(u), 0.0, w, np.inf, **tolerances
        )
        for _ in range(LONGEST_FLOW):
            solver.step()
            if self._has_arrived(solver.y):
                return np.asarray(solver.y)
            if solver.status != "running" or not np.isfinite(solver.y).all():
                break
        return np.full_like(w, np.nan)

    def _descent_end(self, w: Array, velocity: Array, rates: tuple[float, float]) -> Array:
        alpha, beta = rates
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(LONGEST_DESCENT):
                resting = beta == 0 or np.abs(velocity).max() <= ARRIVED * np.abs(w).max()
                if resting and self._has_arrived(w):
                    return w
                if not np.isfinite(w).all():
                    break
                velocity = beta * velocity - alpha * self.loss_gradient(w)
                w = w + velocity
        return np.full_like(w, np.nan)
