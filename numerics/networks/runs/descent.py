"""Noisy training of a network: the recursion itself, compiled, many paths at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from derive import Bernoulli, DeriveWarning, Gaussian, ManifoldError, Rademacher

from ...arguments import check_counts, number, positive, recorded_steps
from ...simulation.descent.descent import StepSizeWarning, simulate_descent
from ...simulation.paths import Status
from ...simulation.runner import PROGRESS_DELAY
from ..mechanisms import Tree
from ..network import Network
from ..normal_space.manifold import geometry, retract
from ..optimizers import GradientDescent
from ..programs import Compiled, Doubles
from .course import Checkpoint, Course, Observer, TestError, identity_of

TURN = 0.5
"""Seconds that iterations may take before the progress bar moves and an interrupt is heard."""
STATE = {"done", "w", "m", "records"}

State = tuple[Doubles, Doubles]
"""Weights and momenta of all paths, shapes (paths, N)."""


def simulate_network_descent(
    problem: Network,
    start: Tree = None,
    *,
    alpha: float,
    sigma: float,
    steps: int,
    paths: int = 1,
    seed: int,
    record: int | ArrayLike = 20,
    test: TestError | None = None,
    checkpoint: str | PathLike[str] | None = None,
) -> Course:
    """Run noisy training; what `numerics.simulate_descent` does with a network.

    The random numbers of step k on path p depend on the seed, p and k alone. How many paths run
    beside one another changes results by rounding at most.

    Parameters
    ----------
    problem : Network
        What to train.
    start : pytree or ndarray of shape (N,), optional
        Where all paths begin; the network's parameters if not given.
    alpha, sigma : float
        Step size and noise scale.
    steps, paths, seed : int
        Iterations, number of paths, seed.
    record : int or array-like
        How many equally spaced iterations to record, or which.
    test : callable, optional
        Test error at parameters.
    checkpoint : path-like, optional
        File in which the state is kept at every recorded iteration; a run that finds it there,
        with the same arguments, goes on from it to the same bits.

    Returns
    -------
    Course
        In iterations. Paths that left the range of numbers, or around which no regular point of Γ
        is found, are marked from the recorded time on at which it was seen.

    Raises
    ------
    ArgumentError
        If an argument is out of its range.
    ManifoldError
        If there is no regular point of Γ near the start.
    SavedFileError
        If the checkpoint is another run's.

    Warns
    -----
    StepSizeWarning
        If Γ does not attract at the step size where the run begins.
    """
    alpha = number("alpha", alpha, positive)
    sigma = number("sigma", sigma, lambda x: 0.0 <= x < np.inf, "a non-negative number")
    check_counts(steps=(steps, 1), paths=(paths, 1), seed=(seed, 0))
    times = recorded_steps(record, steps)
    w0 = problem.start if start is None else problem.flattened(start)
    origin = geometry(problem, retract(geometry(problem, w0), w0)[0])
    warn_of_step_size(problem.optimizer, alpha, origin.values)
    observer = Observer(problem, origin, test)
    recursion = problem.once(Recursion)
    keep = Checkpoint(
        checkpoint, (*identity_of(problem), w0, alpha, sigma, paths, seed, times, test is None)
    )

    kept = keep.load(STATE)
    if kept is None:
        done, state = 0, (np.tile(w0, (paths, 1)), np.zeros((paths, len(w0))))
        records = np.full((paths, len(times), len(observer.names)), np.nan)
    else:
        done, state, records = int(kept["done"]), (kept["w"], kept["m"]), kept["records"]
    k = int(times[done - 1]) if done else 0
    bar = tqdm(total=int(times[-1]), initial=k, unit="step", delay=PROGRESS_DELAY, disable=None)
    with bar:
        for row in range(done, len(times)):
            span, k = (k, int(times[row])), int(times[row])
            state = recursion.advanced(state, span, (alpha, sigma), seed, bar.update)
            for p in range(paths):
                records[p, row] = _observed(observer, state[0][p])
            keep.save(done=row + 1, w=state[0], m=state[1], records=records)
    return course(times.astype(float), "iterations", observer.names, records, state[0])


simulate_descent.register(Network, simulate_network_descent)  # type: ignore[arg-type]


def warn_of_step_size(optimizer: GradientDescent, alpha: float, values: Doubles) -> None:
    """Warn if a mode across Γ grows, of the eigenvalues of H."""
    if optimizer.spectral_radius(alpha, values) >= 1.0:
        warnings.warn(
            f"alpha: α λ_max = {alpha * values[-1]:.3g} at the start, {optimizer} is stable below "
            f"{optimizer.bound(values[-1]) * values[-1]:.3g}; take alpha below "
            f"{optimizer.bound(values[-1]):.3g} unless instability is wanted",
            StepSizeWarning,
            stacklevel=4,
        )


def course(
    times: Doubles, unit: Any, names: tuple[str, ...], records: Doubles, end: Doubles
) -> Course:
    """A course of records of shape (paths, T, names); NaN in all from a time on is a stop."""
    lost = np.asarray(np.isnan(records[..., 1:]).any(axis=-1))
    stopped = np.where(lost.any(axis=1), lost.argmax(axis=1), -1)
    diverged = [not np.isfinite(w).all() for w in end]
    crossed = records[..., names.index("crossed")] if "crossed" in names else np.zeros(1)
    if np.nanmax(crossed, initial=0.0) > 0:
        warnings.warn(
            f"residuals: up to {np.nanmax(crossed):.0f} kinks are crossed on the way; the limit is "
            "that of the cell of each point, and says nothing of what noise does beside a kink. "
            "Course.records['crossed'] counts them",
            DeriveWarning,
            stacklevel=3,
        )
    status = [
        Status.OK if s < 0 else Status.DIVERGED if d else Status.LEFT_NEIGHBOURHOOD
        for s, d in zip(stopped, diverged, strict=True)
    ]
    by_name = {name: records[..., i] for i, name in enumerate(names)}
    return Course(times, unit, by_name, end, np.array(status, dtype=object), stopped)


def _observed(observer: Observer, w: Doubles) -> Doubles:
    missing = np.full(len(observer.names), np.nan)
    if not np.isfinite(w).all():
        return missing
    try:
        return observer(w)
    except ManifoldError:
        return missing


@dataclass(frozen=True)
class Recursion:
    """The update rule with its noise, compiled once for any number of steps.

    Attributes
    ----------
    network : Network
    """

    network: Network

    def advanced(
        self,
        state: State,
        span: tuple[int, int],
        scales: tuple[float, float],
        seed: int,
        progress: Callable[[int], Any],
    ) -> State:
        """The state after the steps first, …, last − 1 of a span, with scales α and σ."""
        k, last = span
        turn = 1
        while k < last:
            ahead, began = min(last, k + turn), perf_counter()
            state = self._steps.doubles(state, (k, ahead), np.array(scales), seed)
            progress(ahead - k)
            elapsed = max(perf_counter() - began, 1e-9)
            turn = max(1, round(min(4.0, TURN / elapsed) * (ahead - k)))
            k = ahead
        return state

    @cached_property
    def _steps(self) -> Compiled:
        network = self.network
        optimizer, gradient = network.optimizer, jax.grad(network.flat_noisy_loss)

        def path(p: Any, state: Any, span: Any, scales: Any, seed: Any) -> Any:
            alpha, sigma = scales
            stream = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), p)

            def step(k: Any, state: Any) -> Any:
                w, m = state
                noise, batch = jax.random.split(jax.random.fold_in(stream, k))
                eta = drawn(network, noise, sigma)
                there, kept = w - alpha * optimizer.lookahead * m, emphasis(network, batch)
                if optimizer.rho:
                    there = there + optimizer.rho * gradient(there, eta, kept)
                m = optimizer.beta * m + gradient(there, eta, kept)
                return w - alpha * network.flat_raised(w, m), m

            return jax.lax.fori_loop(span[0], span[1], step, state)

        def paths(state: Any, span: Any, scales: Any, seed: Any) -> Any:
            numbers = jnp.arange(len(state[0]))
            shared = (0, 0, None, None, None)
            return jax.vmap(path, in_axes=shared)(numbers, state, span, scales, seed)

        return Compiled(paths, network.precision)


def drawn(network: Network, key: Any, sigma: Any) -> Any:
    """Traced: one draw η of the network's noise, shape (d,)."""
    shape, dtype = (network.noise_size,), network.precision
    law = None if network.noise is None else network.noise.law
    if law is None:
        return jnp.zeros(shape, dtype)
    if isinstance(law, Bernoulli):
        dropped = jax.random.bernoulli(key, sigma**2 / (1.0 + sigma**2), shape)
        return jnp.where(dropped, -1.0, sigma**2).astype(dtype)
    if isinstance(law, Gaussian):
        return sigma * jax.random.normal(key, shape, dtype)
    if isinstance(law, Rademacher):
        return sigma * jax.random.rademacher(key, shape, dtype)
    root = np.sqrt(3.0)
    return sigma * jax.random.uniform(key, shape, dtype, -root, root)


def emphasis(network: Network, key: Any) -> Any:
    """Traced: how much each sample counts in a step, shape (samples,), of mean one."""
    m, size = network.samples, network.batch_size
    if size is None:
        return jnp.ones(m, network.precision)
    if network.replacement:
        picked = jax.random.randint(key, (size,), 0, m)
    else:
        picked = jax.random.permutation(key, m)[:size]
    return jnp.zeros(m, network.precision).at[picked].add(m / size)
