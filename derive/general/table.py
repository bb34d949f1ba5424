"""The table of mechanisms: for every loss, Reg, class, time scale and limit, also under optimizers.

Every entry is derived when the table is made; nothing is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import sympy as sp

from ..errors import ProblemError
from ..laws.law import Law
from ..laws.rare_jumps import Bernoulli
from ..laws.shrinking import Gaussian
from .statements import LABELS, WORDS, GeneralLimit, Statements, general_limit

N, n, d, B = sp.symbols("N n d B", integer=True, positive=True)
i, j, k, m, s, t = sp.symbols("i j k m s t", integer=True)
w, eta = sp.IndexedBase("w", shape=(N,)), sp.IndexedBase("eta", shape=(N,))
label, C, y = sp.IndexedBase("eta", shape=(n,)), sp.IndexedBase("C"), sp.IndexedBase("y")
x, xi = sp.IndexedBase("x", shape=(n, d)), sp.IndexedBase("xi", shape=(n, d))
zeta = sp.IndexedBase("xi", shape=(N,))
scalar = sp.IndexedBase("eta", shape=(1,))
turn = sp.IndexedBase("A", shape=(N, N))
L, a, h, ell = map(sp.Function, ("L", "a", "h", "ell"))
delta = sp.KroneckerDelta


def _mean(summand: sp.Expr) -> sp.Expr:
    return sp.Sum(summand, (s, 1, n)) / n


def _all(summand: sp.Expr) -> sp.Expr:
    return sp.Sum(summand, (i, 1, N))


def _shifted(component: sp.Expr) -> sp.Expr:
    return L(sp.Lambda(i, component))


_FIT, _INPUT = h(s, w) - y[s], h(sp.Lambda(i, x[s, i]), w) - y[s]
_NOISY_INPUT = h(sp.Lambda(i, x[s, i] + xi[s, i]), w) - y[s]
_ROTATED = w[i] + sp.Sum(turn[i, j] * w[j], (j, 1, N)) + sp.Sum(
    turn[i, j] * turn[j, k] * w[k], (j, 1, N), (k, 1, N)
) / 2  # fmt: skip
_ANTISYMMETRIC = sp.Lambda((i, j, k, m), delta(i, k) * delta(j, m) - delta(i, m) * delta(j, k))
_SAMPLED = sp.Lambda((s, t), n / B * (delta(s, t) - 1 / n))  # with replacement, B at a time


@dataclass(frozen=True)
class Mechanism:
    """A way in which noise enters, for every loss.

    Attributes
    ----------
    name : str
        What it is called.
    formula, tex : str
        L̂ as text and as LaTeX.
    stated : tuple
        The arguments of `general_limit`.
    law : Law
        Law of each independent entry of the noise.
    """

    name: str
    formula: str
    tex: str
    stated: tuple[Any, ...]
    law: Law = Gaussian()  # noqa: RUF009 - a frozen dataclass

    def derive(self) -> GeneralLimit:
        """Its limit."""
        return general_limit(*self.stated, law=self.law)


MECHANISMS = (
    Mechanism(
        "parameter noise",
        "L(w + η)",
        r"L(w + \eta)",
        (L(w), _shifted(w[i] + eta[i]), w, eta),
    ),
    Mechanism(
        "correlated parameter noise",
        "L(w + η), Cov η = σ²C",
        r"L(w + \eta),\ \mathrm{Cov}\,\eta = \sigma^2 C",
        (L(w), _shifted(w[i] + eta[i]), w, eta, {eta: sp.Lambda((i, j), C[i, j])}),
    ),
    Mechanism(
        "DropConnect, Gaussian",
        "L(w ⊙ (1 + η))",
        r"L(w \odot (1 + \eta))",
        (L(w), _shifted(w[i] * (1 + eta[i])), w, eta),
    ),
    Mechanism(
        "DropConnect, Bernoulli",
        "L(w ⊙ (1 + η)), η_i = −1 with probability p",
        r"L(w \odot (1 + \eta)),\ \eta_i = -1 \text{ with probability } p",
        (L(w), _shifted(w[i] * (1 + eta[i])), w, eta),
        Bernoulli(),
    ),
    Mechanism(
        "noise of given amplitudes",
        "L(w + η ⊙ a(w))",
        r"L(w + \eta \odot a(w))",
        (L(w), _shifted(w[i] + eta[i] * a(i, w)), w, eta),
    ),
    Mechanism(
        "random rotation",
        "L(exp(A) w), A antisymmetric",
        r"L(e^{A} w),\ A^\top = -A",
        (L(w), _shifted(_ROTATED), w, turn, {turn: _ANTISYMMETRIC}),
    ),
    Mechanism(
        "input noise",
        "(1/2n) Σ_s (h(x_s + ξ_s, w) − y_s)²",
        r"\frac{1}{2n}\sum_s (h(x_s + \xi_s, w) - y_s)^2",
        (_mean(_INPUT**2) / 2, _mean(_NOISY_INPUT**2) / 2, w, xi),
    ),
    Mechanism(
        "label noise",
        "(1/n) Σ_s (h_s(w) − y_s − η_s)²",
        r"\frac{1}{n}\sum_s (h_s(w) - y_s - \eta_s)^2",
        (_mean(_FIT**2), _mean((_FIT - label[s]) ** 2), w, label),
    ),
    Mechanism(
        "minibatches",
        "(1/n) Σ_s (1 + η_s) ℓ_s(w), ℓ_s ≥ 0",
        r"\frac{1}{n}\sum_s (1 + \eta_s)\, \ell_s(w),\ \ell_s \ge 0",
        (_mean(ell(s, w)), _mean((1 + label[s]) * ell(s, w)), w, label, {label: _SAMPLED}),
    ),
    Mechanism(
        "additive noise",
        "L(w) + η·w",
        r"L(w) + \eta\cdot w",
        (L(w), L(w) + _all(eta[i] * w[i]), w, eta),
    ),
    Mechanism(
        "a linear amplitude",
        "L(w) + a(w) η",
        r"L(w) + a(w)\,\eta",
        (L(w), L(w) + a(w) * sp.Sum(scalar[i], (i, 1, 1)), w, scalar),
    ),
    Mechanism(
        "a quadratic amplitude",
        "L(w) + ½ a(w) η²",
        r"L(w) + \tfrac12 a(w)\,\eta^2",
        (L(w), L(w) + a(w) * sp.Sum(scalar[i] ** 2, (i, 1, 1)) / 2, w, scalar),
    ),
    Mechanism(
        "DropConnect and additive noise",
        "L(w ⊙ (1 + η)) + ξ·w",
        r"L(w \odot (1 + \eta)) + \xi\cdot w",
        (L(w), _shifted(w[i] * (1 + eta[i])) + _all(zeta[i] * w[i]), w, (eta, zeta)),
    ),
)
"""The mechanisms of the table; any other is derived by `general_limit` in the same way."""

SETTING = (
    "w ∈ R^N follows w' = w − α∇L̂(w, η) with small noise E ηη = σ²C (C = I if not given), L ≥ 0 "
    "smooth; Γ = {L = 0} is a manifold with normal Hessian H > 0, P projects on its tangent space.",
    "Bernoulli noise is rare, not small: σ² = p/(1 − p), p → 0; L|[w_i → 0] is the loss with w_i "
    "dropped, a function of the other weights.",
    "The limit holds in time t, of iterations divided by the time scale: W is the slow motion "
    "along Γ, S Sᵀ = Σ, B is a Brownian motion, Φ the end of the gradient flow. The class is the "
    "generic one.",
    "Heavy ball: w' = w − αm', m' = βm + ∇L̂. Preconditioner: w' = w − αΩ∇L̂ with a constant Ω > 0, "
    "P_Ω = I − ΩH(HΩH)⁺H, and Φ_Ω the end of the flow of −Ω∇L.",
)
"""What the table speaks of."""

COLUMNS = ("mechanism", "L̂(w, η)", *LABELS)


def rows(tex: bool = False) -> list[tuple[str, ...]]:
    """The table, one row of texts per mechanism."""
    found = []
    for mechanism in MECHANISMS:
        says = Statements(mechanism.derive(), tex)
        formula = f"${mechanism.tex}$" if tex else mechanism.formula
        found.append((mechanism.name, formula, *says.cells))
    return found


def as_text() -> str:
    """One paragraph per mechanism."""
    width = max(map(len, COLUMNS))
    parts = [
        "\n".join(f"{name:<{width}}  {cell}" for name, cell in zip(COLUMNS, row, strict=True))
        for row in rows()
    ]
    return "\n\n".join((*SETTING, *parts))


def as_html() -> str:
    """A table of HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in COLUMNS)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows()
    )
    above = "\n".join(f"<p>{escape(sentence)}</p>" for sentence in SETTING)
    return f"{above}\n<table>\n<tr>{head}</tr>\n{body}\n</table>"


_TEX_SETTING = r"""
The weights $w \in \mathbb{R}^N$ follow $w' = w - \alpha\nabla\hat L(w, \eta)$ with small noise,
$\mathbb{E}\,\eta\eta^\top = \sigma^2 C$ ($C = I$ if not given), and a smooth $L \ge 0$;
$\Gamma = \{L = 0\}$ is a manifold on which $H = \nabla^2 L$ is positive across it, and $P$ projects
on its tangent space. Bernoulli noise is rare, not small: $\sigma^2 = p/(1-p)$ with $p \to 0$; by
$L|_{w_i \to 0}$ we mean the loss with $w_i$ dropped, a function of the other weights. The limit
holds in time $t$, of iterations divided by the time scale: $W$ is the slow motion along $\Gamma$,
$S S^\top = \Sigma$, $B$ is a Brownian motion, $\Phi$ the end of the gradient flow. The class is the
generic one.

Heavy ball: $w' = w - \alpha m'$, $m' = \beta m + \nabla\hat L$. Preconditioner:
$w' = w - \alpha\Omega\nabla\hat L$ with a constant $\Omega > 0$,
$P_\Omega = I - \Omega H (H\Omega H)^+ H$, and $\Phi_\Omega$ the end of the flow of
$-\Omega\nabla L$.
"""


def as_latex() -> str:
    """A complete document, with one list per mechanism."""
    blocks = []
    for row in rows(tex=True):
        items = "\n".join(
            rf"\item[{WORDS.get(name, name)}] {cell}"
            for name, cell in zip(COLUMNS[1:], row[1:], strict=True)
        )
        blocks.append(
            f"\\subsection*{{{row[0]}}}\n\\begin{{description}}\n{items}\n\\end{{description}}"
        )
    body = "\n\n".join(blocks)
    return (
        "\\documentclass{article}\n\\usepackage{amsmath,amssymb}\n\\begin{document}\n"
        f"{_TEX_SETTING}\n{body}\n\\end{{document}}\n"
    )


FORMATS: Mapping[str, Callable[[], str]] = {"text": as_text, "latex": as_latex, "html": as_html}


def table(form: str) -> str:
    """The table as text, LaTeX or HTML.

    Raises
    ------
    ProblemError
        If another form is asked for.
    """
    if form not in FORMATS:
        raise ProblemError(f"table: expected one of {', '.join(FORMATS)}, got {form!r}")
    return FORMATS[form]()
