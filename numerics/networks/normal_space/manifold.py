"""Γ around a point: what is known of it there, the way back to it, and training to get there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tqdm.auto import tqdm

from derive import ManifoldError

from ...simulation.runner import PROGRESS_DELAY
from ..network import Network
from ..programs import Doubles
from .geometry import Surface, exact_geometry, gram, rounding_of
from .krylov import Krylov
from .probes import Solvers

RETRACTION_STEPS = 50
RETRACTION_SPEED = 0.25
"""Factor by which a step of the retraction must reduce the residuals before J Jᵀ is renewed."""
ROUNDING_STEPS = 64.0
"""Residuals count as zero at this many roundings of the weights."""

ON_MANIFOLD = 1e-4
"""Distance to Γ, relative to the weights, below which given parameters are moved onto it."""


def geometry(network: Network, w: Doubles, *, keep: bool = False) -> Surface:
    """Γ at a point; by the products of J alone if the network has probes.

    Parameters
    ----------
    network : Network
    w : ndarray, shape (N,)
        The point.
    keep : bool
        Whether to keep the rows of J for what is asked next, where they fit in memory.
    """
    return exact_geometry(network, w, keep=keep) if network.probes is None else Krylov(network, w)


def residual_rounding(here: Surface) -> float:
    """Norm of the residuals that a rounding of the weights alone makes."""
    network = here.network
    length = float(np.linalg.norm(here.point)) + 1.0
    return ROUNDING_STEPS * rounding_of(network) * here.norm * length


def retract(here: Surface, w: Doubles) -> tuple[Doubles, Surface]:
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


def on_manifold(network: Network) -> Surface:
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


def neighbours(here: Surface, count: int, distance: float) -> list[Surface]:
    """Points of Γ around one of its points, for evidence.

    Parameters
    ----------
    here : Surface
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
        scale, norm, damped = _damped(network, w)
        if size <= ROUNDING_STEPS * rounding_of(network) * norm * (1.0 + np.linalg.norm(w)):
            bar.close()
            return network.at(w)
        for _ in range(20):
            step = network.jacobian.rmv(w, damped(damping * scale, r))
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


def _damped(
    network: Network, w: Doubles
) -> tuple[float, float, Callable[[float, Doubles], Doubles]]:
    """Mean diagonal of J Ω Jᵀ, |J|, and the solution x of (J Ω Jᵀ + shift) x = r."""
    if network.probes is None:
        matrix, _, norm = gram(network, w)
        scale, identity = float(np.trace(matrix)) / len(matrix), np.eye(len(matrix))
        return scale, norm, lambda shift, r: np.linalg.solve(matrix + shift * identity, r)
    norm, solvers = Krylov(network, w).norm, network.once(Solvers)
    return norm**2 / network.count, norm, lambda shift, r: solvers.gram(w, r, shift)
