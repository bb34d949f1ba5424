"""Adaptive optimizers: a preconditioner that is made of averages of squared gradients.

In the units of the theory, v' = v + δ(q(g)/σ² − v) with g = ∇L̂(w, η) and q quadratic, δ = 1 − β₂,
and w' = w − αΩ(v')m'. With Adam's own letters α_Adam = ασ, ε_Adam = εσ, v_Adam = σ²v, so that the
preconditioner keeps its size as σ → 0. Which limit a run follows depends on δ beside αμ, with μ the
rates of relaxation across Γ per unit of α, the eigenvalues of ΩH: its `Window`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import sympy as sp

from ..errors import ProblemError
from ..reading import read_expression, read_matrix, read_symbols, refuse_overlap, sequence
from ..symbols import alpha, sigma
from .optimizer import Draw, Optimizer, Vector

USUAL = sp.Rational(9, 10)
"""β₁ where none is given."""

NOTHING = sp.Tuple()


class Window(Enum):
    """How fast the second moment v forgets, δ = 1 − β₂, beside the relaxation αμ across Γ.

    CONSTANT: α^kσ² ≪ δ ≪ αμ. While the weights relax v is constant; it follows the slow motion.
    COMPARABLE: δ = cα. The second moment is a memory variable.
    FAST: αμ ≪ δ ≪ 1. The second moment is a function of the weights.
    DRIFTING: δ = cα^kσ². As slow as the drift along Γ, on which it lives beside the weights.
    """

    CONSTANT = "constant"
    COMPARABLE = "comparable"
    FAST = "fast"
    DRIFTING = "drifting"

    @classmethod
    def read(cls, given: Window | str) -> Window:
        """The window of that name."""
        try:
            return cls(given)
        except ValueError:
            known = ", ".join(repr(w.value) for w in cls)
            raise ProblemError(f"window: expected one of {known}, got {given!r}") from None


@dataclass(frozen=True)
class Adaptive(Optimizer):
    """What all adaptive optimizers share.

    Parameters
    ----------
    delta : number or Expr
        δ = 1 − β₂ in (0, 1]: a number, or a power of `derive.alpha` (and `derive.sigma`) times a
        constant, which says in which window the limit is taken: δ = cα^a with 0 < a < 1 is fast,
        cα comparable, cα^a with a > 1 or cσ constant, cα^kσ² drifting.
    window : Window or str, optional
        The window, needed where δ is a number.
    """

    delta: sp.Expr
    window: Window | None = None

    def __post_init__(self) -> None:
        delta = read_expression("delta", self.delta)
        if delta.is_nonpositive or (delta - 1).is_positive:
            raise ProblemError(f"delta: expected δ = 1 − β₂ in (0, 1], got {self.delta!r}")
        object.__setattr__(self, "delta", delta)
        object.__setattr__(self, "window", _window(delta, self.window))

    @property
    def momentum(self) -> sp.Expr:
        """β of m' = βm + (1 − β)g; 0 without momentum."""
        return sp.S.Zero

    @property
    def copies(self) -> int:  # type: ignore[override]
        """Vectors of memory beside the second moments: momentum."""
        return int(self.momentum != 0)

    def memory(self, weights: Vector) -> tuple[sp.Symbol, ...]:
        """Momentum, then second moments."""
        return (*super().memory(weights), *self.moments(weights))

    @abstractmethod
    def moments(self, weights: Vector) -> tuple[sp.Symbol, ...]:
        """v, as symbols."""

    @abstractmethod
    def squares(self, gradient: Vector) -> list[sp.Expr]:
        """q(g), one entry for each second moment."""

    @abstractmethod
    def preconditioner(self, moments: Vector) -> sp.Matrix:
        """Ω(v), shape (N, N)."""

    def move(
        self, weights: Vector, memory: Vector, moments: Vector, gradient: Vector
    ) -> tuple[list[sp.Expr], list[sp.Expr]]:
        """Next weights and next momentum under given second moments."""
        beta = self.momentum
        along = list(gradient)
        if beta != 0:
            along = [beta * m + (1 - beta) * g for m, g in zip(memory, gradient, strict=True)]
        matrix = self.preconditioner(moments)
        if matrix.shape != (len(weights), len(weights)):
            expected = (len(weights), len(weights))
            raise ProblemError(f"matrix: expected shape {expected}, got {matrix.shape}")
        step = matrix * sp.Matrix(along)
        moved = [w - alpha * s for w, s in zip(weights, step, strict=True)]
        return moved, along if beta != 0 else []

    def update(self, weights: Vector, memory: Vector, draw: Draw) -> tuple[Vector, Vector]:
        """The recursion itself; its memory is (m, v)."""
        count = self.copies * len(weights)
        gradient = draw.gradient(weights)
        moments = self.averaged(memory[count:], gradient)
        moved, momentum = self.move(weights, memory[:count], moments, gradient)
        return moved, [*momentum, *moments]

    def averaged(self, moments: Vector, gradient: Vector) -> list[sp.Expr]:
        """V + δ(q/σ² − v)."""
        rate = self.delta / sigma**2
        pairs = zip(moments, self.squares(gradient), strict=True)
        return [v + rate * (q - sigma**2 * v) for v, q in pairs]


@dataclass(frozen=True)
class RMSProp(Adaptive):
    """v' = v + δ(g⊙g/σ² − v), w' = w − αg/(√v' + ε), with g = ∇L̂(w, η).

    Parameters
    ----------
    delta : number or Expr
        δ = 1 − β₂.
    window : Window or str, optional
        Needed where δ is a number, see `Window`.
    epsilon : number or Expr
        ε = ε_RMSProp/σ ≥ 0; 0 only where no second moment vanishes on Γ.
    """

    epsilon: sp.Expr = sp.S.Zero

    def __post_init__(self) -> None:
        super().__post_init__()
        epsilon = read_expression("epsilon", self.epsilon)
        if epsilon.is_negative:
            raise ProblemError(f"epsilon: expected ε ≥ 0, got {self.epsilon!r}")
        object.__setattr__(self, "epsilon", epsilon)

    def moments(self, weights: Vector) -> tuple[sp.Symbol, ...]:
        """One for each weight."""
        return tuple(sp.Symbol(f"v_{w}", positive=True) for w in weights)

    def squares(self, gradient: Vector) -> list[sp.Expr]:
        """G ⊙ g."""
        return [g**2 for g in gradient]

    def preconditioner(self, moments: Vector) -> sp.Matrix:
        """1/(√v + ε)."""
        return sp.diag(*(1 / (sp.sqrt(v) + self.epsilon) for v in moments))


@dataclass(frozen=True)
class Adam(RMSProp):
    """m' = βm + (1 − β)g, v' = v + δ(g⊙g/σ² − v), w' = w − αm'/(√v' + ε), without bias correction.

    Parameters
    ----------
    delta : number or Expr
        δ = 1 − β₂.
    window : Window or str, optional
        Needed where δ is a number, see `Window`.
    epsilon : number or Expr
        ε = ε_Adam/σ ≥ 0; 0 only where no second moment vanishes on Γ.
    beta : number or Expr
        β₁ in [0, 1).
    """

    beta: sp.Expr = USUAL

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "beta", _momentum(self.beta))

    @property
    def momentum(self) -> sp.Expr:
        """β₁."""
        return self.beta


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: w' = w − αm'/(√v' + ε) − αλw.

    Parameters
    ----------
    decay : Expr
        λ = cα^{k−1}σ², for a drift of order α^kσ² beside it; a decay of fixed size does not leave Γ
        at rest. In Adam's letters λ_AdamW = λ/σ.
    """

    decay: sp.Expr = sp.S.Zero

    def __post_init__(self) -> None:
        super().__post_init__()
        decay = read_expression("decay", self.decay)
        if decay != 0 and sp.sympify(decay / sigma**2).has(sigma):
            raise ProblemError(
                f"decay: expected λ = cα^(k−1)σ², as slow as the drift along Γ, got {decay}; a "
                "larger one does not leave Γ at rest"
            )
        object.__setattr__(self, "decay", decay)

    def move(
        self, weights: Vector, memory: Vector, moments: Vector, gradient: Vector
    ) -> tuple[list[sp.Expr], list[sp.Expr]]:
        """Adam's, less αλw."""
        moved, momentum = super().move(weights, memory, moments, gradient)
        return [x - alpha * self.decay * w for x, w in zip(moved, weights, strict=True)], momentum


@dataclass(frozen=True)
class SecondMoments(Adaptive):
    """A preconditioner of the user's own: v' = v + δ(q(g)/σ² − v), w' = w − αΩ(v')m'.

    Parameters
    ----------
    delta : number or Expr
        δ.
    window : Window or str, optional
        Needed where δ is a number, see `Window`.
    gradient : sequence of Symbol
        What stands for the entries of g in `of`.
    of : sequence of Expr
        q, quadratic forms in them.
    averages : sequence of Symbol
        What stands for v, an average of each of those, in `matrix`.
    matrix : matrix of Expr, shape (N, N)
        Ω(v).
    beta : number or Expr
        β of m' = βm + (1 − β)g.

    Examples
    --------
    One second moment for two weights: ``SecondMoments(alpha**2, gradient=(g1, g2),
    of=[(g1**2 + g2**2)/2], averages=(v,), matrix=sp.eye(2)/sp.sqrt(v))``.
    """

    gradient: tuple[sp.Symbol, ...] = ()
    of: sp.Tuple = NOTHING
    averages: tuple[sp.Symbol, ...] = ()
    matrix: sp.ImmutableMatrix = field(default_factory=lambda: sp.ImmutableMatrix(0, 0, ()))
    beta: sp.Expr = sp.S.Zero

    def __post_init__(self) -> None:
        super().__post_init__()
        gradient = read_symbols("gradient", self.gradient)
        averages = read_symbols("averages", self.averages)
        refuse_overlap(gradient=gradient, averages=averages)
        of = [read_expression("of", q) for q in sequence(self.of, "of")]
        if len(of) != len(averages):
            raise ProblemError(f"of: expected one form for each of {averages}, got {len(of)}")
        for q in of:
            form = sp.Poly(q, *gradient) if q.is_polynomial(*gradient) else None
            mixed = q.free_symbols & {*averages}
            if form is None or mixed or any(sum(powers) != 2 for powers, _ in form.terms()):
                raise ProblemError(f"of: expected quadratic forms in {gradient}, got {q}")
        matrix = read_matrix("matrix", self.matrix)
        if matrix.free_symbols & {*gradient}:
            raise ProblemError(f"matrix: expected a function of {averages}, got {matrix.tolist()}")
        normal = {
            "gradient": gradient,
            "averages": averages,
            "of": sp.Tuple(*of),
            "matrix": matrix,
            "beta": _momentum(self.beta),
        }
        for name, value in normal.items():
            object.__setattr__(self, name, value)

    @property
    def momentum(self) -> sp.Expr:
        """β."""
        return self.beta

    def moments(self, weights: Vector) -> tuple[sp.Symbol, ...]:
        """As the user names them."""
        return self.averages

    def squares(self, gradient: Vector) -> list[sp.Expr]:
        """q(g)."""
        if len(gradient) != len(self.gradient):
            raise ProblemError(
                f"gradient: expected a symbol for each of {len(gradient)} weights, got "
                f"{len(self.gradient)}"
            )
        values = dict(zip(self.gradient, gradient, strict=True))
        return [q.xreplace(values) for q in self.of]

    def preconditioner(self, moments: Vector) -> sp.Matrix:
        """Ω(v)."""
        return sp.Matrix(self.matrix.xreplace(dict(zip(self.averages, moments, strict=True))))


def _window(delta: sp.Expr, given: Window | str | None) -> Window | None:
    """The window that δ is in as α, σ → 0, or the one that is given for a number."""
    asked = None if given is None else Window.read(given)
    in_alpha, in_sigma = (_power(delta, scale) for scale in (alpha, sigma))
    if in_alpha is None or in_sigma is None or (in_sigma - 2).is_positive:
        raise ProblemError(
            "delta: expected a number, or c times powers of derive.alpha and derive.sigma, of "
            f"sigma up to the second, with c free of both; got {delta}"
        )
    if in_sigma != 0:
        found = Window.DRIFTING if in_sigma == 2 else Window.CONSTANT
    elif in_alpha == 0:
        if asked is Window.DRIFTING:
            raise ProblemError(
                f"delta: in the drifting window δ = cα^kσ² with the drift's own k, got {delta}"
            )
        return asked
    elif in_alpha == 1:
        found = Window.COMPARABLE
    else:
        found = Window.CONSTANT if in_alpha > 1 else Window.FAST
    if asked not in (None, found):
        raise ProblemError(
            f"window: δ = {delta} is in the window {found.value!r} as α → 0, not in "
            f"{asked.value!r}; leave the window out, or give δ as a number"
        )
    return found


def _power(expression: sp.Expr, scale: sp.Symbol) -> sp.Expr | None:
    """A of c·scale^a; None for an expression of another form, or a negative power."""
    power = expression.as_powers_dict().get(scale, sp.S.Zero)
    rest = sp.sympify(expression / scale**power)
    return None if rest.has(scale) or not power.is_nonnegative else power


def _momentum(given: Any) -> sp.Expr:
    value = read_expression("beta", given)
    if value.is_negative or (value - 1).is_nonnegative or value.is_real is False:
        raise ProblemError(f"beta: expected a number in [0, 1), got {given!r}")
    return value
