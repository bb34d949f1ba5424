"""Optimizers that are built from others: several steps, several workers, averages.

They act on the jet of one step of the inner one, and are never written out; what is simulated are
the inner steps, one after the other, with what happens between them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import mpmath
import sympy as sp

from ..errors import ProblemError
from ..reading import read_expression
from ..symbolic.numbers.matrices import blocks, identity, like
from ..theory.map_jets import MapJet, linear_jet, sequence
from .assembly import Assembly
from .optimizer import Draw, GradientDescent, Optimizer, Vector


class Composite(Optimizer):
    """An optimizer whose steps are made of those of another one, `inner`."""

    inner: Optimizer

    def update(self, weights: Vector, memory: Vector, draw: Draw) -> tuple[Vector, Vector]:
        """Of the inner optimizer."""
        return self.inner.update(weights, memory, draw)

    @property
    def innermost(self) -> Optimizer:
        """That of the inner optimizer."""
        return self.inner.innermost


@dataclass(frozen=True)
class LookAhead(Composite):
    """Several steps of another optimizer, of which the weights keep a part: w + c (w_k − w).

    Parameters
    ----------
    steps : int
        Inner steps k; one step of the slow time counts them as one.
    weight : number or Expr
        c in (0, 1].
    inner : Optimizer
        What makes the inner steps; its memory is kept as it is.
    """

    steps: int
    weight: sp.Expr
    inner: Optimizer = field(default_factory=GradientDescent)

    def __post_init__(self) -> None:
        _positive_count("steps", self.steps)
        weight = read_expression("weight", self.weight)
        if not weight.is_positive or (weight - 1).is_positive:
            raise ProblemError(f"weight: expected c with 0 < c ≤ 1, got {self.weight!r}")
        object.__setattr__(self, "weight", weight)

    def turned(self, jet: MapJet) -> MapJet:
        """(z, z) ↦ (T^k z, z) ↦ C T^k z + (I − C) z."""
        many = self.inner.turned(jet).repeated(self.steps)
        size = jet.mean.rows
        n = size // (1 + self.innermost.copies)
        eye = identity(jet.mean, size)
        kept = mpmath.mpmathify(sp.N(self.weight, mpmath.mp.dps + 5))
        part = like(
            eye, [[(kept if i < n else 1) * (i == j) for j in range(size)] for i in range(size)]
        )
        both = linear_jet(blocks(eye, [[eye], [eye]]))
        return sequence(both, many.beside(size), linear_jet(blocks(eye, [[part, eye - part]])))

    def assembled(self, steps: Assembly) -> Assembly:
        """Every k steps the weights go back part of the way to where they were."""
        inner = self.inner.assembled(steps)
        both, slow = inner.with_state("slow", inner.at_rest(inner.weights))
        period = self.steps * inner.period
        moved = {w: s + self.weight * (w - s) for w, s in zip(inner.weights, slow, strict=True)}
        kept = {s: moved[w] for w, s in zip(inner.weights, slow, strict=True)}
        whole = replace(both, shown=inner.weights, period=period)
        return whole.then(period, period, moved | kept)


@dataclass(frozen=True)
class LocalSteps(Composite):
    """Several steps on each of several workers, with noise of their own, then the mean of all.

    Parameters
    ----------
    steps : int
        Local steps n; one step of the slow time counts them as one.
    workers : int
        Workers p.
    inner : Optimizer
        What makes the local steps; its memory is averaged too.
    """

    steps: int
    workers: int = 1
    inner: Optimizer = field(default_factory=GradientDescent)

    def __post_init__(self) -> None:
        _positive_count("steps", self.steps)
        _positive_count("workers", self.workers)

    def turned(self, jet: MapJet) -> MapJet:
        """The mean of copies of T^n."""
        return self.inner.turned(jet).repeated(self.steps).mean_of_copies(self.workers)

    def assembled(self, steps: Assembly) -> Assembly:
        """Every n steps all workers go on from the mean of their states."""
        inner = self.inner.assembled(steps)
        workers, names = inner.copied(self.workers)
        period = self.steps * inner.period
        mean = {s: sp.Add(*(name[s] for name in names)) / self.workers for s in inner.state}
        whole = replace(workers, shown=inner.weights, period=period)
        return whole.then(period, period, {name[s]: mean[s] for name in names for s in mean})


@dataclass(frozen=True)
class Extragradient(Composite):
    """A step by the gradient that is met after it: w' = w − α∇L̂(ŵ, η'), ŵ = w − α∇L̂(w, η).

    The noise is drawn anew for the second gradient; in terms of steps T of the inner optimizer,
    which has no memory, w' = w + T(ŵ) − ŵ with ŵ = T(w).

    Parameters
    ----------
    inner : Optimizer
        What makes the two steps.
    """

    inner: Optimizer = field(default_factory=GradientDescent)

    def __post_init__(self) -> None:
        if self.innermost.copies:
            raise ProblemError(
                f"inner: expected an optimizer without memory, got {self.inner!r}, of which there "
                "is no gradient at another place"
            )

    def turned(self, jet: MapJet) -> MapJet:
        """W ↦ (ŵ, w) ↦ (T(ŵ), ŵ, w) ↦ w + T(ŵ) − ŵ."""
        inner, size = self.inner.turned(jet), jet.mean.rows
        eye = identity(jet.mean, size)
        none = 0 * eye
        return sequence(
            linear_jet(blocks(eye, [[eye], [eye]])),
            inner.beside(size),
            linear_jet(blocks(eye, [[eye, none], [eye, none], [none, eye]])),
            inner.beside(2 * size),
            linear_jet(blocks(eye, [[eye, -1 * eye, eye]])),
        )

    def assembled(self, steps: Assembly) -> Assembly:
        """Two inner steps: the place after the first one is kept, the second is taken from w."""
        inner = self.inner.assembled(steps)
        start = inner.at_rest(inner.weights)
        with_base, base = inner.with_state("base", start)
        both, ahead = with_base.with_state("ahead", start)
        places = list(zip(inner.weights, base, ahead, strict=True))
        period = 2 * inner.period
        moved = {w: b + w - a for w, b, a in places}
        whole = replace(both, shown=inner.weights, period=period)
        whole = whole.then(inner.period, period, {a: w for w, _, a in places})
        return whole.then(period, period, moved | {b: moved[w] for w, b, _ in places})


@dataclass(frozen=True)
class WeightAverage(Composite):
    """An average of the weights beside an optimizer, w̄' = w̄ + κ(w' − w̄), at fixed κ.

    The average moves along Γ as the weights do: its limit is that of the inner optimizer.

    Parameters
    ----------
    rate : number or Expr
        κ in (0, 1].
    inner : Optimizer
        What moves the weights.
    """

    rate: sp.Expr
    inner: Optimizer = field(default_factory=GradientDescent)

    def __post_init__(self) -> None:
        rate = read_expression("rate", self.rate)
        if not rate.is_positive or (rate - 1).is_positive:
            raise ProblemError(f"rate: expected κ with 0 < κ ≤ 1, got {self.rate!r}")
        object.__setattr__(self, "rate", rate)

    def turned(self, jet: MapJet) -> MapJet:
        """That of the inner optimizer."""
        return self.inner.turned(jet)

    def assembled(self, steps: Assembly) -> Assembly:
        """What is followed is the average."""
        inner = self.inner.assembled(steps)
        both, average = inner.with_state("average", inner.at_rest(inner.shown))
        moved = {a: a + self.rate * (w - a) for w, a in zip(inner.shown, average, strict=True)}
        return replace(both, shown=average).then(inner.period, inner.period, moved)


def _positive_count(name: str, given: Any) -> None:
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise ProblemError(f"{name}: expected a positive integer, got {given!r}")
