"""Noise models over many data points, kept as a sum over samples.

L(w) = (1/n) Σ_i ℓ(w; x_i), L̂(w, η) = (1/n) Σ_i ℓ̂(w, η; x_i): the template ℓ̂ is derived once, for
every n; the data are bound as an array. On Γ the residual of each sample vanishes, which decides
what it can for each sample; what it cannot is decided on a few of the samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp

from .derivation.classification import Classification, Evidence, Outcome, Step
from .derivation.coefficients import Equation, leading_equation
from .derivation.noise_moments import NoiseMoments, noise_moments
from .errors import ProblemError
from .limit import Limit, derive_limit
from .manifold.constraints import Square, read_squares
from .model.laws import Gaussian, Law, repeated
from .model.problem import NoisyGradientDescent
from .model.reading import read_expression
from .symbolic.calculus import gradient
from .symbolic.ideals import Ideal
from .symbolic.linear import are_clearly_independent
from .symbolic.programs import Program
from .symbolic.zero_tests import proved
from .symbols import alpha
from .theory.jets import Residual, squares_jet

SUBSAMPLE = 3
"""Samples on which the questions are decided that one sample alone cannot answer."""

Table = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class SampledDescent:
    """Noisy gradient descent on a mean over samples.

    Parameters
    ----------
    loss : Expr
        ℓ(w; x) of one sample, of the form ½ c r².
    noisy_loss : Expr
        ℓ̂(w, η; x) of one sample.
    weights, noise : Symbol or sequence of Symbol
        w, and the noise η.
    data : Symbol or sequence of Symbol
        Symbols of one sample, x: inputs and target.
    values : array, shape (n, len(data))
        The data, one row per sample.
    law : Law
        Law of η.
    shared : bool
        Whether all samples see the same η (dropout of neurons) or each an independent draw (label
        noise).
    near : sequence, optional
        A point near Γ, where the numerical search for it starts.

    Raises
    ------
    ProblemError
        If the template is malformed or the data do not fit.
    """

    loss: sp.Expr
    noisy_loss: sp.Expr
    weights: tuple[sp.Symbol, ...]
    noise: tuple[sp.Symbol, ...]
    data: tuple[sp.Symbol, ...]
    values: Table
    law: Law = Gaussian()  # noqa: RUF009 (frozen)
    shared: bool = False
    near: tuple[sp.Expr, ...] | None = None

    def __post_init__(self) -> None:
        data = (self.data,) if isinstance(self.data, sp.Symbol) else tuple(self.data)
        # The template is a problem of its own, with the data as parameters: validated there.
        template = NoisyGradientDescent(
            self.loss, self.noisy_loss, self.weights, self.noise, self.law, parameters=data
        )
        values = _table(self.values, len(data))
        for name in ("loss", "noisy_loss", "weights", "noise"):
            object.__setattr__(self, name, getattr(template, name))
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "values", values)
        if self.near is not None:
            object.__setattr__(self, "near", replace(template, near=self.near).near)
        if not self.shared and not self.law.shrinks:
            raise ProblemError(
                f"law: {self.law} keeps its size and is drawn once for all samples; expected a law "
                "of the noise of one sample, or shared=True"
            )
        _ = self.square

    @property
    def samples(self) -> int:
        """Number n of samples."""
        return len(self.values)

    @property
    def dimension(self) -> int:
        """Number N of weights."""
        return len(self.weights)

    @cached_property
    def template(self) -> NoisyGradientDescent:
        """The problem of one sample, with its data as parameters."""
        return NoisyGradientDescent(
            self.loss, self.noisy_loss, self.weights, self.noise, self.law, parameters=self.data
        )

    @cached_property
    def square(self) -> Square:
        """(c, r) of ℓ = ½ c r²."""
        squares = read_squares(self.loss, frozenset(self.weights))
        if squares is None or len(squares) != 1:
            raise ProblemError(
                f"loss: expected one square ½ c r² a sample, got {self.loss}; write the model's "
                "residual as (h(w, x) − y)**2"
            )
        return squares[0]

    def expand(self, rows: Sequence[int]) -> NoisyGradientDescent:
        """The problem of some of the samples, written out."""
        n = sp.Integer(len(rows))
        places = [dict(zip(self.data, map(_rational, self.values[i]), strict=True)) for i in rows]
        loss = sp.Add(*(self.loss.xreplace(place) for place in places)) / n
        copies = [self._noise_of(k) for k in range(len(rows))]
        noisy = sp.Add(
            *(
                self.noisy_loss.xreplace(place | copy)
                for place, copy in zip(places, copies, strict=True)
            )
        )
        noise = self.noise if self.shared else tuple(e for copy in copies for e in copy.values())
        law = self.law if self.shared else repeated(self.law, self.noise, copies)
        return NoisyGradientDescent(
            sp.expand_mul(loss), sp.expand_mul(noisy / n), self.weights, noise, law, near=self.near
        )

    def _noise_of(self, k: int) -> dict[sp.Symbol, sp.Symbol]:
        """Noise symbols of the k-th sample."""
        if self.shared:
            return {}
        return {e: sp.Symbol(f"{e}_{k}", real=True) for e in self.noise}


@dataclass(frozen=True)
class SampledLimit:
    """Limiting equation of noisy gradient descent on a mean over samples.

    Attributes
    ----------
    problem : SampledDescent
        Template and data.
    moments : NoiseMoments
        Reg and the factor of Σ for one sample, as functions of its data: Reg is the mean over
        samples, and Σ = (1/n²) Σ_i S_i S_iᵀ, or S Sᵀ with the mean S of S_i for shared noise.
    classification : Classification
        Outcome, evidence, and c where Σ = cH.
    equation : Equation
        The dynamics, as for `Limit`; its potential is Reg of one sample.
    """

    problem: SampledDescent
    moments: NoiseMoments
    classification: Classification
    equation: Equation

    @property
    def outcome(self) -> Outcome:
        """Which of the five kinds of limit this is."""
        return self.classification.outcome

    @property
    def evidence(self) -> Evidence:
        """The questions that led to the outcome."""
        return self.classification.evidence

    @property
    def time_scale(self) -> sp.Expr | None:
        """Iterations per unit of slow time; None at rest."""
        return self.equation.effective_time_scale

    @property
    def step(self) -> sp.Expr:
        """Step size; 0 for the limit α → 0."""
        return self.equation.step

    @cached_property
    def residual(self) -> Residual:
        """c, ∇c, ∇r and ∇²r of one sample."""
        return squares_jet([self.problem.square], self.problem.weights).residuals[0]

    @cached_property
    def slope(self) -> tuple[sp.Expr, ...]:
        """Field v of one sample; the drift has −P times its mean."""
        return tuple(gradient(self.equation.potential, self.problem.weights))

    @property
    def drift(self) -> None:
        """None: a sum over samples has no closed form that is worth writing; see `numerics`."""

    diffusion = drift

    def at_step(self, step: Any = alpha, momentum: Any = 0) -> SampledLimit:
        """The limit σ → 0 at a fixed step size, as `Limit.at_step`."""
        equation = replace(
            self.equation,
            step=read_expression("step", step),
            momentum=read_expression("momentum", momentum),
        )
        return replace(self, equation=equation)

    def latex(self) -> str:
        """The equation with its sums over samples, as a LaTeX array."""
        names = {x: rf"{sp.latex(x)}^{{(i)}}" for x in self.problem.data}
        mean = r"\frac{1}{n}\sum_{i=1}^{n} "

        def tex(expression: sp.Expr) -> str:
            return str(sp.latex(expression, symbol_names=names))

        rows = [
            ("loss", rf"L = {mean}{tex(self.problem.loss)}"),
            ("noisy loss", rf"\hat L = {mean}{tex(self.problem.noisy_loss)}"),
            ("Reg", rf"\mathrm{{Reg}} = {mean}{tex(self.moments.regularizer)}"),
            ("outcome", rf"\text{{{self.outcome.value}}}"),
        ]
        if self.time_scale is not None:
            rows.append(("time scale", rf"t = k\,{sp.latex(1 / self.time_scale)}"))
        rows.append(("limit", self._equation_latex()))
        body = " \\\\\n".join(rf"\text{{{label}}} & {content}" for label, content in rows)
        return f"\\begin{{array}}{{ll}}\n{body}\n\\end{{array}}"

    def _equation_latex(self) -> str:
        if self.time_scale is None:
            return "dW = 0"
        multiple = self.classification.hessian_multiple
        if multiple is not None and self.step == 0:
            return rf"\frac{{dW}}{{dt}} = -{sp.latex(multiple / 4)}\, P\nabla\Delta L"
        if self.outcome is Outcome.NON_DEGENERATE:
            return r"\frac{dW}{dt} = -P\nabla\mathrm{Reg}(W)"
        noise = r"P S\,dB + " if self.outcome is Outcome.DIFFUSIVE else ""
        return rf"dW = {noise}\tfrac{{1}}{{2}} D^2\Phi[\Sigma]\,dt"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        n = self.problem.samples
        shared = "shared by the samples" if self.problem.shared else "independent for each sample"
        lines = [
            f"loss        L = (1/n) Σ_i [{self.problem.loss}], n = {n}",
            f"noisy loss  L̂ = (1/n) Σ_i [{self.problem.noisy_loss}], noise {shared}",
            f"Reg         (1/n) Σ_i [{self.moments.regularizer}]",
            f"outcome     {self.outcome.value}",
            *(f"because     {step.question}: {step.verdict}" for step in self.evidence.steps),
        ]
        if self.time_scale is not None:
            lines.append(f"time scale  t = k·{1 / self.time_scale}")
        return "\n".join(lines)


@derive_limit.register(SampledDescent)
def derive_sampled_limit(  # type: ignore[misc]
    problem: SampledDescent, *, assume: Outcome | str | None = None
) -> SampledLimit:
    """Derive the limit of noisy gradient descent on a mean over samples.

    Parameters
    ----------
    problem : SampledDescent
        Template and data.
    assume : Outcome or str, optional
        As for `derive_limit`.

    Returns
    -------
    SampledLimit

    Raises
    ------
    ManifoldError, UndecidedError
        As `derive_limit`, for a few of the samples.
    """
    moments = noise_moments(problem.template)
    witness = derive_limit(problem.expand(_few(problem)), assume=assume)
    classification = _classification(problem, moments, witness)
    return SampledLimit(
        problem, moments, classification, leading_equation(classification.outcome, moments)
    )


def _few(problem: SampledDescent) -> list[int]:
    """Samples that constrain the weights independently, and leave them a way to move."""
    n = problem.dimension
    # Without a point to start from any will do that no formula is likely to single out.
    point = problem.near or [math.sqrt(2 + k) % 1 - 0.4 for k in range(n)]
    residual = Program((*problem.weights, *problem.data), [problem.square[1]])
    chosen: dict[int, list[float]] = {}
    for i, sample in enumerate(problem.values):
        if len(chosen) == min(SUBSAMPLE, n - 1):
            break
        (slope,) = residual.jacobian([*point, *sample], n, mpmath.fp)
        if are_clearly_independent([*chosen.values(), slope]):
            chosen[i] = slope
    return list(chosen)


def _classification(
    problem: SampledDescent, moments: NoiseMoments, witness: Limit
) -> Classification:
    """The outcome on a few samples, with proofs that hold for each sample where there are any."""
    sample = _SampleProofs(problem, moments)
    attempts = {0: sample.flat_regularizer, 1: sample.no_diffusion}
    steps = []
    for k, step in enumerate(witness.evidence.steps):
        verdict = step.verdict
        if verdict.value and k in attempts and attempts[k]():
            verdict = proved("for each sample, modulo its residual")
        else:
            how = f"on {len(witness.manifold.constraints)} of {problem.samples} samples"
            verdict = replace(verdict, how=f"{verdict.how}; {how}", witness=None)
        steps.append(Step(step.question, verdict))
    return Classification(witness.outcome, Evidence(tuple(steps)), sample.hessian_multiple())


@dataclass(frozen=True)
class _SampleProofs:
    """What follows for every n from r = 0 in one sample."""

    problem: SampledDescent
    moments: NoiseMoments

    @cached_property
    def ideal(self) -> Ideal:
        return Ideal((self.problem.square[1],), self.problem.weights)

    @cached_property
    def normal(self) -> list[sp.Expr]:
        """∇r."""
        return gradient(self.problem.square[1], self.problem.weights)

    def flat_regularizer(self) -> bool:
        return self.is_normal(gradient(self.moments.regularizer, self.problem.weights))

    def no_diffusion(self) -> bool:
        columns = self.moments.columns
        return all(self.is_normal(list(columns[:, a])) for a in range(columns.cols))

    def is_normal(self, field: Sequence[sp.Expr]) -> bool:
        """Whether a vector field is a multiple of ∇r wherever r = 0."""
        pivot = next(k for k, x in enumerate(self.normal) if x != 0)
        return all(
            self.ideal.contains(field[k] * self.normal[pivot] - field[pivot] * self.normal[k])
            for k in range(len(field))
        )

    def hessian_multiple(self) -> sp.Expr | None:
        """The c with Σ = cH: independent noise along ∇r of variance proportional to the weight."""
        if self.problem.shared:
            return None
        c, _ = self.problem.square
        columns = self.moments.columns
        if not columns.cols or not self.no_diffusion():
            return None
        pivot = next(k for k, x in enumerate(self.normal) if x != 0)
        variance = sum(x**2 for x in columns[pivot, :]) / self.normal[pivot] ** 2
        ratio = self.ideal.shortest(sp.cancel(variance / c))
        return None if ratio.free_symbols or ratio == 0 else ratio / self.problem.samples


def _table(values: Any, columns: int) -> Table:
    try:
        table = tuple(
            tuple(float(x) for x in (row if isinstance(row, Iterable) else (row,)))
            for row in values
        )
    except (TypeError, ValueError) as error:
        raise ProblemError(f"values: expected an array of shape (n, {columns})") from error
    if not table or any(len(row) != columns for row in table):
        widths = sorted({len(row) for row in table})
        raise ProblemError(
            f"values: expected n ≥ 1 rows of {columns} numbers, one for each data symbol, "
            f"got {len(table)} rows of {widths}"
        )
    if not all(math.isfinite(x) for row in table for x in row):
        raise ProblemError("values: expected finite numbers, got nan or infinity")
    return table


def _rational(value: float) -> sp.Rational:
    return sp.Rational(repr(value))
