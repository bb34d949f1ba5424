"""Γ at a point, from J Jᵀ: tangent projector, curvatures, retraction, and training to get there.

Matrices are n × n, n the number of residuals; J (n × N) is used through its products. With
C = diag(c) and C^{1/2} J Jᵀ C^{1/2} = U Λ Uᵀ the Hessian H = JᵀCJ on Γ has the positive
eigenvalues Λ, with eigenvectors Jᵀ C^{1/2} U Λ^{-1/2}; redundant residuals are eigenvalues zero.
Under a preconditioner Ω all of it is that of ΩH: ΩJᵀ stands for Jᵀ, J Ω Jᵀ for J Jᵀ, and the
projector P = I − ΩJᵀ(JΩJᵀ)⁻¹J is along ΩJᵀ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from derive import ManifoldError

from ..simulation.runner import PROGRESS_DELAY
from .network import Network
from .programs import Doubles

CLEAR = 30.0
"""An eigenvalue of J Jᵀ this many times above its rounding is positive; one below it is zero."""

RETRACTION_STEPS = 50
RETRACTION_SPEED = 0.25
"""Factor by which a step of the retraction must reduce the residuals before J Jᵀ is renewed."""
ROUNDING_STEPS = 64.0
"""Residuals count as zero at this many roundings of the weights."""

ON_MANIFOLD = 1e-4
"""Distance to Γ, relative to the weights, below which given parameters are moved onto it."""


@dataclass(frozen=True)
class Geometry:
    """Γ at one point.

    Attributes
    ----------
    network : Network
    point : ndarray, shape (N,)
    values : ndarray, shape (p,)
        Positive eigenvalues of H (of ΩH), increasing.
    vectors : ndarray, shape (n, p)
        The columns of U that belong to them.
    stored : sequence of (slice, array), or None
        Rows of J in blocks, where they have been kept.
    norm : float
        Frobenius norm of J.
    """

    network: Network
    point: Doubles
    values: Doubles
    vectors: Doubles
    stored: tuple[tuple[slice, Any], ...] | None
    norm: float

    @property
    def rank(self) -> int:
        """Codimension of Γ."""
        return len(self.values)

    def blocks(self) -> Iterable[tuple[slice, Any]]:
        """Rows of J in blocks."""
        if self.stored is not None:
            return self.stored
        return self.network.jacobian.blocks(self.point)

    def gram(self) -> Doubles:
        """C J Ω Jᵀ C, shape (n, n)."""
        factor = self.vectors * np.sqrt(self.network.curvatures)[:, None]
        return np.asarray(factor * self.values @ factor.T)

    def solve(self, y: Doubles) -> Doubles:
        """(J Ω Jᵀ)⁺ y for y in the range of J, shape (..., n)."""
        root = np.sqrt(self.network.curvatures)
        inner = (y * root) @ self.vectors / self.values
        return np.asarray(inner @ self.vectors.T * root)

    def project(self, v: Doubles) -> Doubles:
        """P v, shape (N,); done twice, which leaves the rounding of a well-conditioned J alone."""
        for _ in range(2):
            v = v - self.normal(self.solve(self.network.jacobian.mv(self.point, v)))
        return v

    def raised(self, gradient: Doubles) -> Doubles:
        """What the update rule makes of a gradient: Ω g, shape (N,)."""
        return self.network.metric.vector(self.point, gradient)

    def normal(self, y: Doubles) -> Doubles:
        """Ω Jᵀ y, shape (N,)."""
        return self.raised(self.network.jacobian.rmv(self.point, y))


def geometry(network: Network, w: Doubles, *, keep: bool = False) -> Geometry:
    """Γ at a point.

    Parameters
    ----------
    network : Network
    w : ndarray, shape (N,)
        The point.
    keep : bool
        Whether to keep the rows of J for what is asked next, where they fit in memory.

    Raises
    ------
    ManifoldError
        If the rank of J is not clear from the gap in the spectrum of J Jᵀ, or Γ is a point.
    """
    n, size = network.count, network.dimension
    product, stored, norm = gram(network, w)
    root = np.sqrt(network.curvatures)
    values, vectors = np.linalg.eigh(product * np.outer(root, root))
    rounding = rounding_of(network) * (n + np.sqrt(size)) * max(values[-1], 0.0)
    positive = values > CLEAR * rounding
    unclear = values[(np.abs(values) > rounding) & ~positive]
    if len(unclear) or not positive.any():
        shown = ", ".join(f"{x:.3g}" for x in unclear[:4]) or "none above rounding"
        raise ManifoldError(
            f"residuals: the rank of J is not clear, H has the eigenvalues {shown} beside "
            f"{values[-1]:.3g}, where rounding is {rounding:.2g}; nearly redundant samples, or a "
            "point where Γ is singular: leave samples out, start elsewhere, or take "
            "precision='float64'"
        )
    if positive.sum() >= size:
        raise ManifoldError(
            f"residuals: {positive.sum()} independent residuals leave no direction of the "
            f"{size} weights free, Γ is a point; expected more weights than residuals"
        )
    kept = stored if keep else None
    return Geometry(network, w, values[positive], vectors[:, positive], kept, norm)


def gram(
    network: Network, w: Doubles
) -> tuple[Doubles, tuple[tuple[slice, Any], ...] | None, float]:
    """J Ω Jᵀ, shape (n, n), the rows of J it was made of where they fit in memory, and |J|."""
    jacobian, n = network.jacobian, network.count
    fits = n * network.dimension * np.dtype(network.precision).itemsize <= network.memory
    stored = tuple(jacobian.blocks(w)) if fits else None
    if stored is not None and network.optimizer.preconditioner is None:
        product = jacobian.gram(stored)
        return product, stored, float(np.sqrt(np.trace(product)))
    product, squares = np.empty((n, n)), 0.0
    for rows, block in stored or jacobian.blocks(w):
        lifted = network.metric(w, block)
        product[rows] = jacobian.products(w, lifted)[: rows.stop - rows.start]
        squares += jacobian.squares(block)
    return 0.5 * (product + product.T), stored, float(np.sqrt(squares))


def rounding_of(network: Network) -> float:
    """Unit of rounding of the network's precision."""
    return float(np.finfo(network.precision).eps)


def residual_rounding(here: Geometry) -> float:
    """Norm of the residuals that a rounding of the weights alone makes."""
    network = here.network
    length = float(np.linalg.norm(here.point)) + 1.0
    return ROUNDING_STEPS * rounding_of(network) * here.norm * length


def retract(here: Geometry, w: Doubles) -> tuple[Doubles, Geometry]:
    """A point of Γ near w by Gauss–Newton steps, and the last geometry that was used.

    J at each iterate, J Jᵀ from `here` until the steps no longer gain: the steps are normal to
    Γ up to their own size, so that a tangential step of length δ is changed at order δ³ along Γ.

    Raises
    ------
    ManifoldError
        If the residuals do not fall to rounding.
    """
    network, jacobian = here.network, here.network.jacobian
    goal, before = residual_rounding(here), np.inf
    for _ in range(RETRACTION_STEPS):
        r = network.residual.doubles(w)
        size = float(np.linalg.norm(r))
        if size <= goal:
            return w, here
        if not np.isfinite(size):
            break
        if size > RETRACTION_SPEED * before:
            here = geometry(network, w)
        before = size
        w = w - network.metric.vector(w, jacobian.rmv(w, here.solve(r)))
    raise ManifoldError(
        f"params: Gauss–Newton steps towards Γ leave residuals of norm {size:.3g}, where rounding "
        f"is {goal:.2g}; expected a network that fits its targets, train(network) finds one"
    )


def on_manifold(network: Network) -> Geometry:
    """Γ at the given parameters, put onto it if they are close.

    Raises
    ------
    ManifoldError
        If the network does not interpolate there, with its residuals and the distance to Γ.
    """
    w = network.start
    here = geometry(network, w)
    r = network.residual.doubles(w)
    away = float(np.linalg.norm(here.normal(here.solve(r))))
    if away > ON_MANIFOLD * np.linalg.norm(w):
        raise ManifoldError(
            f"params: not on Γ, the residuals are {np.sqrt(np.mean(r**2)):.3g} in root mean "
            f"square and up to {np.abs(r).max():.3g}, Γ is about {away:.2g} away from weights of "
            f"norm {np.linalg.norm(w):.3g}; train(network) finds a point of Γ, if the network can "
            "fit its targets"
        )
    moved, _ = retract(here, w)
    return here if moved is w else geometry(network, moved)


def neighbours(here: Geometry, count: int, distance: float) -> list[Geometry]:
    """Points of Γ around one of its points, for evidence.

    Parameters
    ----------
    here : Geometry
    count : int
        How many.
    distance : float
        How far, relative to the norm of the weights.

    Raises
    ------
    ManifoldError
        If the rank of J differs there, so that the point is singular.
    """
    network = here.network
    found = []
    for i in range(count):
        away = here.project(np.random.default_rng([0, i]).standard_normal(network.dimension))
        away *= distance * np.linalg.norm(here.point) / np.linalg.norm(away)
        for _ in range(8):
            try:
                moved, last = retract(here, here.point + away)
            except ManifoldError:
                away = away / 2
                continue
            there = geometry(network, moved) if last.point is not moved else last
            break
        else:
            raise ManifoldError("params: no further point of Γ found around them")
        if there.rank != here.rank:
            raise ManifoldError(
                f"params: J has rank {here.rank} there and {there.rank} at a point of Γ close by; "
                "Γ is singular at the given parameters, start elsewhere"
            )
        found.append(there)
    return found


DAMPING = 1e-3
DIVERGED = 3.0
"""Weights that grow in training by this factor have no minimiser to end at."""
TRAINING_STEPS = 200


def train(network: Network, steps: int = TRAINING_STEPS) -> Network:
    """The network at a point of Γ, by Levenberg–Marquardt from the given parameters.

    Parameters
    ----------
    network : Network
    steps : int
        Most steps to take, each with one J Jᵀ of its own.

    Returns
    -------
    Network
        With other parameters.

    Raises
    ------
    ManifoldError
        If it does not end at residuals of rounding: the network cannot fit its targets, or not
        from there.
    """
    w, damping = network.start, DAMPING
    r = network.residual.doubles(w)
    bar = tqdm(range(steps), desc="training", delay=PROGRESS_DELAY, disable=None, leave=False)
    for _ in bar:
        size = float(np.linalg.norm(r))
        matrix, _, norm = gram(network, w)
        scale = float(np.trace(matrix)) / len(r)
        if size <= ROUNDING_STEPS * rounding_of(network) * norm * (1.0 + np.linalg.norm(w)):
            bar.close()
            return network.at(w)
        for _ in range(20):
            shifted = matrix + damping * scale * np.eye(len(r))
            step = network.jacobian.rmv(w, np.linalg.solve(shifted, r))
            moved = w - network.metric.vector(w, step)
            ahead = network.residual.doubles(moved)
            if np.linalg.norm(ahead) < size:
                w, r, damping = moved, ahead, damping / 10
                break
            damping *= 4
        else:
            break
    length, before = float(np.linalg.norm(w)), float(np.linalg.norm(network.start))
    if length > DIVERGED * (1.0 + before):
        raise ManifoldError(
            f"network: in training the weights grow from a norm of {before:.3g} to {length:.3g}, "
            f"with residuals of {np.sqrt(np.mean(r**2)):.3g}: there is no finite minimiser, as for "
            "cross-entropy on separable data. Smooth its labels to probabilities q, fit the logits "
            "by residuals logit − log(q/(1 − q)), and take weights=q(1 − q)"
        )
    raise ManifoldError(
        f"network: training ends at residuals of {np.sqrt(np.mean(r**2)):.3g} in root mean square "
        f"with {network.dimension} weights for {network.count} residuals; expected a network that "
        "fits all targets: more weights, fewer samples, or another start"
    )
