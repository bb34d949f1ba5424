"""The table of mechanisms: for every loss, Reg, class, time scale and limit, also under optimizers.

Every entry is derived when the table is made; nothing is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import sympy as sp

from ..display.mathml import prose_html
from ..display.notation import capitalised
from ..errors import ProblemError
from ..laws.law import Law
from ..laws.rare_jumps import Bernoulli
from ..laws.shrinking import Gaussian
from .statements import LABELS, WORDS, GeneralLimit, Statements, general_limit

N, n, d, B, M = sp.symbols("N n d B M", integer=True, positive=True)
i, j, k, m, s, t = sp.symbols("i j k m s t", integer=True)
w, eta = sp.IndexedBase("w", shape=(N,)), sp.IndexedBase("eta", shape=(N,))
label, C, y = sp.IndexedBase("eta", shape=(n,)), sp.IndexedBase("C"), sp.IndexedBase("y")
x, xi = sp.IndexedBase("x", shape=(n, d)), sp.IndexedBase("xi", shape=(n, d))
zeta = sp.IndexedBase("xi", shape=(N,))
scalar = sp.IndexedBase("eta", shape=(1,))
turn = sp.IndexedBase("A", shape=(N, N))
unit = sp.IndexedBase("eta", shape=(M,))
L, a, h, ell, u = map(sp.Function, ("L", "a", "h", "ell", "u"))
delta = sp.KroneckerDelta


def _mean(summand: sp.Expr) -> sp.Expr:
    return sp.Sum(summand, (s, 1, n)) / n


def _all(summand: sp.Expr) -> sp.Expr:
    return sp.Sum(summand, (i, 1, N))


def _shifted(component: sp.Expr) -> sp.Expr:
    return L(sp.Lambda(i, component))


_FIT, _INPUT = h(s, w) - y[s], h(sp.Lambda(i, x[s, i]), w) - y[s]
_NOISY_INPUT = h(sp.Lambda(i, x[s, i] + xi[s, i]), w) - y[s]
_UNITS = sp.Sum(unit[j] * u(j, s, w), (j, 1, M))
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
        r"L(w + \eta)$, $\mathrm{Cov}\,\eta = \sigma^2 C",
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
        r"L(w \odot (1 + \eta))$, $\eta_i = -1$ with probability $p",
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
        r"L(e^{A} w)$, $A^\top = -A",
        (L(w), _shifted(_ROTATED), w, turn, {turn: _ANTISYMMETRIC}),
    ),
    Mechanism(
        "dropout of units",
        "(1/2n) Σ_s (h_s(w) + Σ_p η_p u_ps(w) − y_s)²",
        r"\frac{1}{2n}\sum_s \bigl(h_s(w) + \sum_p \eta_p u_{ps}(w) - y_s\bigr)^2",
        (_mean(_FIT**2) / 2, _mean((_FIT + _UNITS) ** 2) / 2, w, unit),
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
        r"\frac{1}{n}\sum_s (1 + \eta_s)\, \ell_s(w)$, $\ell_s \ge 0",
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

TITLE = "Slow limits of noisy gradient descent, for every loss"

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


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 1.5rem auto; max-width: 80rem;
  padding: 0 1rem }
main { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(30rem, 100%), 1fr)) }
section { border: 1px solid #bbb; border-radius: 6px; overflow-x: auto; padding: .5rem 1rem 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin: .5rem 0 }
th, td { padding: 0 1rem .35rem 0; text-align: left; vertical-align: top }
th { color: #555; font-weight: normal; white-space: nowrap }
@media (max-width: 40rem) { th, td { display: block; padding: 0 } td { padding: 0 0 .5rem 1rem } }
"""


def as_html() -> str:
    """A page with one card per mechanism."""
    cards = "\n".join(
        f"<section><h2>{escape(capitalised(name))}</h2>\n<table>\n{_items(cells)}\n</table></section>"
        for name, *cells in rows(tex=True)
    )
    above = "\n".join(f"<p>{prose_html(part)}</p>" for part in _TEX_SETTING.strip().split("\n\n"))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{TITLE}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{TITLE}</h1>\n{above}\n<main>\n{cards}\n</main>\n</body>\n</html>"
    )


def _items(cells: Sequence[str]) -> str:
    return "\n".join(
        f'<tr><th scope="row">{prose_html(WORDS.get(label, label))}</th>'
        f"<td>{prose_html(cell)}</td></tr>"
        for label, cell in zip(COLUMNS[1:], cells, strict=True)
    )


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
    """A complete document, with one table per mechanism."""
    blocks = []
    for name, *cells in rows(tex=True):
        lines = " \\\\\n".join(
            f"{WORDS.get(label, label)} & {cell}"
            for label, cell in zip(COLUMNS[1:], cells, strict=True)
        )
        blocks.append(f"\\mechanism{{{capitalised(name)}}}{{%\n{lines}}}")
    body = "\n\n".join(blocks)
    inside = f"\\maketitle\n{_TEX_SETTING}\n{body}"
    return f"{_TEX_HEAD}\n\\begin{{document}}\n{inside}\n\\end{{document}}\n"


_TEX_HEAD = rf"""
\documentclass{{amsart}}
\usepackage{{amssymb,array}}
\raggedbottom
\newcommand{{\mechanism}}[2]{{\par\medskip\noindent
  \begin{{minipage}}{{\textwidth}}\textbf{{#1}}\par\smallskip\renewcommand{{\arraystretch}}{{1.25}}
  \begin{{tabular}}{{@{{}}>{{\itshape\raggedright}}p{{0.25\textwidth}}>{{\raggedright\arraybackslash}}p{{0.71\textwidth}}@{{}}}}#2
  \end{{tabular}}\end{{minipage}}\par}}
\title{{{TITLE}}}
""".strip()


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
