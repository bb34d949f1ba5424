"""Brute force for update rules: what one noisy step moves, once the rule has come to rest again.

No formula of the theory is used: a rule is a map of weights, memory and noise that is iterated.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sympy as sp

from derive import Choice, UpdateRule, alpha, sigma
from derive.laws.law import Law
from derive.rules.expansion import groups
from tests.truth.oracles import FIRST, OFFSETS, STEP, Array, array_function, draws, noiseless

RESTED, PATIENCE = 1e-13, 100
"""A rule has come to rest when its steps are below this, and have not shrunk for so long."""

SMALL = 1e-3
"""Noise scale of pairs ±η: the mean of a pair errs by its square, 1e-6 of the motion."""


@dataclass(frozen=True)
class Map:
    """One step of a rule as a function of many states at once."""

    rule: UpdateRule

    def __call__(self, states: Array, noise: Array, step: float, scale: float) -> Array:
        """Next states, shape (K, D)."""
        numbers = np.broadcast_to([step, scale], (len(states), 2))
        return self._field(np.concatenate([states, noise, numbers], axis=1))

    @cached_property
    def _field(self) -> Callable[[Array], Array]:
        rule = self.rule
        return array_function(rule.update, [*rule.state, *rule.noise, alpha, sigma])

    def at_rest(self, w: Array) -> Array:
        """Weights with their memory at rest, shape (D,)."""
        values = dict(zip(self.rule.weights, w, strict=True))
        return np.array([*w, *(float(sp.N(r.subs(values))) for r in self.rule.rest or ())])

    def rested(self, states: Array, step: float, most: int = 100_000) -> Array:
        """Where noiseless steps lead, of a rule that draws nothing of fixed size."""
        silent = np.zeros((len(states), len(self.rule.noise)))
        smallest, since = np.inf, 0
        for _ in range(most):
            states, before = self(states, silent, step, 0.0), states
            moved = np.abs(states - before).max()
            smallest, since = (moved, 0) if moved < smallest else (smallest, since + 1)
            if moved == 0 or (smallest < RESTED and since > PATIENCE):
                return states
        raise AssertionError("the rule does not come to rest")


def one_step(rule: UpdateRule, w: Array, step: float) -> tuple[Array, Array]:
    """lim σ⁻² of mean and second moment of Φ(T(z, η)) − z: drift and Θ per step, to about 1e-8."""
    moved = Map(rule)
    start, n = moved.at_rest(w), len(w)

    def at(s: float) -> Array:
        values, p = draws(rule.law, rule.noise, s)
        ends = moved(np.tile(start, (len(values), 1)), values, step, s)
        gap = (moved.rested(ends, step) - start)[:, :n]
        return np.concatenate([p @ gap, np.einsum("k,ki,kj->ij", p, gap, gap).ravel()]) / s**2

    both = noiseless(at, 0.02)
    return both[:n], both[n:].reshape(n, n)


def one_jump(rule: UpdateRule, w: Array, step: float) -> Array:
    """Drift per step as σ → 0 of a rule with Bernoulli noise, by the generator of its jumps.

    Σ_i [Φ(T(z, −e_i)) − z] + D(Φ∘T)(z, 0)(1, …, 1), and what the rule itself does at order σ².
    """
    moved = Map(rule)
    start, count = moved.at_rest(w), len(rule.noise)
    noise = np.vstack([-np.eye(count), STEP * OFFSETS[:, None] * np.ones(count)])

    def gap(values: Array, scale: float) -> Array:
        ends = moved(np.tile(start, (len(values), 1)), values, step, scale)
        return (moved.rested(ends, step) - start)[:, : len(w)]

    by_noise = gap(noise, 0.0)
    own = [gap(0 * noise[:1], s)[0] / s**2 for s in (0.8, 0.4, 0.2)]
    return by_noise[:count].sum(axis=0) + FIRST @ by_noise[count:] / STEP + extrapolated(own, 2)


@dataclass(frozen=True)
class Measured:
    """Drift and Θ per step and σ² by Monte Carlo, with their standard errors."""

    drift: Array
    drift_error: Array
    spread: Array
    spread_error: Array


def many_steps(
    rule: UpdateRule, w: Array, step: float, *, pairs: int, settled: int, steps: int, seed: int
) -> Measured:
    """Drift and Θ of a rule that draws what keeps its size, as σ → 0.

    Pairs of runs with the same masks and batches, and noise ±η: half their sum moves by the drift,
    half their difference by the noise, whose covariance grows by Θ in every step once the rest
    has settled.
    """
    moved, rng = Map(rule), np.random.default_rng(seed)
    start, n = moved.at_rest(w), len(w)
    up = np.tile(start, (pairs, 1))
    down = up.copy()
    marks = []
    for k in range(settled + steps + 1):
        if k in (settled, settled + steps):
            drift = ((up + down) / 2 - start)[:, :n] / SMALL**2
            noise = ((up - down) / 2)[:, :n] / SMALL
            marks.append((drift, np.einsum("ki,kj->kij", noise, noise)))
        eta, sign = _drawn(rule, pairs, rng)
        up, down = moved(up, eta, step, SMALL), moved(down, sign * eta, step, SMALL)
    (drift, square), (later, later_square) = marks
    drifts, spreads = (later - drift) / steps, (later_square - square) / steps
    root = np.sqrt(pairs)
    return Measured(
        drifts.mean(axis=0),
        drifts.std(axis=0) / root,
        spreads.mean(axis=0),
        spreads.std(axis=0) / root,
    )


def _drawn(rule: UpdateRule, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Noise of a step, shape (count, d), and its signs in the other run of a pair, shape (d,)."""
    columns: dict[sp.Symbol, Array] = {}
    signs: dict[sp.Symbol, float] = {}
    for symbols, law in groups(rule):
        if law.shrinks:
            values: Array = SMALL * rng.standard_normal((count, len(symbols)))
        else:
            values = _chosen(law, symbols, count, rng)
        columns |= {s: values[:, i] for i, s in enumerate(symbols)}
        signs |= dict.fromkeys(symbols, -1.0 if law.shrinks else 1.0)
    return (
        np.column_stack([columns[s] for s in rule.noise]),
        np.array([signs[s] for s in rule.noise]),
    )


def _chosen(law: Law, symbols: Sequence[sp.Symbol], count: int, rng: np.random.Generator) -> Array:
    if isinstance(law, Choice):
        values, p = (np.array(x, dtype=float) for x in (law.values, law.probabilities))
    else:
        values, p = draws(law, symbols, 1.0)
    return values[rng.choice(len(values), size=count, p=p)]


def extrapolated(values: Sequence[Array], power: float) -> Array:
    """The limit of values at h, h/2, h/4, … that are smooth in h^power."""
    table = [np.asarray(v) for v in values]
    for order in range(1, len(table)):
        weight = 2.0 ** (power * order)
        table = [
            (weight * fine - coarse) / (weight - 1) for coarse, fine in itertools.pairwise(table)
        ]
    return table[0]
