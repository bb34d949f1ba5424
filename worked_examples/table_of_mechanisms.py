"""The table of noise mechanisms, generated: regularizer, class, time scale, limit, exponents.

The formulas for every loss are derived with symbolic dimensions. Each mechanism is derived for a
model, too, and the exponents of α and σ in its speed along Γ are measured from short bursts of the
recursion, without using the derived equation, beside those predicted. A limit at rest on both
scales of the theorems is followed to the slower scale on which it moves.

The second table sets the predicted class beside the fluctuation that is seen: the growth of the
variance along Γ per unit of slow time, at α and at α/4. It stays where the limit is a diffusion and
vanishes with α where it is a flow. `--latex` writes both tables as a document, too.

What the paper shows is a table of mechanisms, regularizers and time scales; the rows on correlated
and combined noise, the models and the measurements are this project's. What came out (printed by
the run): the exponents of all 14 mechanisms that move agree with those predicted to 1.6 standard
errors, which are at most 0.034, but 0.05 to 0.19 for Bernoulli DropConnect and for additive noise
with and without DropConnect. The fluctuation stays where the class says so, for additive noise, and
falls to about a quarter or less in the other 13 rows. A minute of the processor.

References
----------
Shalova, Schlichting, Peletier, arXiv 2404.12293, table of noise mechanisms.
"""

import argparse
import time

import numpy as np
import sympy as sp
from pictures import OUTPUT

from derive import (
    Bernoulli,
    Gaussian,
    Limit,
    NoisyGradientDescent,
    Outcome,
    derive_limit,
    mechanisms,
)
from derive import alpha as ALPHA
from derive import sigma as SIGMA
from derive.display import equations
from derive.general import MECHANISMS as FOR_EVERY_LOSS
from numerics import compile_limit
from numerics.validation import LENGTHS, Experiment, measure_scaling

w1, w2, w3, w4, x, eta = sp.symbols("w1:5 x eta", real=True)
plane, four = (w1, w2), (w1, w2, w3, w4)
radius = w1**2 + w2**2
ring, round_ring = (radius - 1) ** 2 * (2 + w1) / 4, (radius - 1) ** 2 / 4
a, b = sp.symbols("x1 x2", real=True)
net = (a * (w1**2 - w3**2) + b * (w2**2 - w4**2), (a, b), [[1, 2], [2, -1]], [1, 3], four)
neuron = (w1 * sp.tanh(w2 * x + w3), x, [1], [sp.Rational(1, 2)], (w1, w2, w3))
pair = w1 * sp.tanh(w2 * x) + w3 * sp.tanh(w4 * x)
two_neurons = (pair, x, [sp.Rational(1, 2), 3], [0, 1], four)
units = (w1 * sp.tanh(w2 * x), w3 * sp.tanh(w4 * x))

ON_RING, ON_NET, ON_PAIR = (0.6, 0.8), (1.3, 0.7, 0.5, 0.8), (2.3, 1.0, -1.3, 2.4)
MECHANISMS = {
    "parameter noise": (mechanisms.parameter_noise(ring, plane), ON_RING, 0.05, 0.05),
    "anti-correlated descent": (
        mechanisms.anti_correlated_descent(ring, plane),
        ON_RING,
        0.05,
        0.05,
    ),
    "correlated parameter noise": (
        mechanisms.parameter_noise(ring, plane, law=Gaussian(sp.ones(2) / 2)),
        ON_RING,
        0.05,
        0.05,
    ),
    "Gaussian DropConnect": (mechanisms.dropconnect(round_ring, plane), ON_RING, 0.05, 0.1),
    "Bernoulli DropConnect": (
        mechanisms.dropconnect(round_ring, plane, law=Bernoulli()),
        ON_RING,
        0.05,
        0.1,
    ),
    "dropout of neurons": (
        mechanisms.dropout(*two_neurons, units=units, near=ON_PAIR),
        ON_PAIR,
        0.1,
        0.1,
    ),
    "input noise": (
        mechanisms.input_noise(*neuron, near=(0.8, 0.7, 0.2)),
        (0.8, 0.7, 0.2),
        0.1,
        0.1,
    ),
    "scalar multiplicative noise": (
        NoisyGradientDescent(ring, ring + (1 - 0.7 * sp.cos(2 * w1)) * eta**2 / 2, plane, eta),
        ON_RING,
        0.05,
        0.1,
    ),
    "linear scalar noise": (
        NoisyGradientDescent(ring, ring + radius * eta / 2, plane, eta),
        ON_RING,
        0.02,
        0.1,
    ),
    "label noise": (mechanisms.label_noise(*net), ON_NET, 0.002, 0.1),
    "minibatches with label noise": (
        mechanisms.minibatch_label_noise(*net, batch_size=1),
        ON_NET,
        0.001,
        0.1,
    ),
    "additive noise": (mechanisms.additive_noise(ring, plane), ON_RING, 0.02, 0.1),
    "DropConnect and additive noise": (
        mechanisms.combine(
            mechanisms.dropconnect(round_ring, plane), mechanisms.additive_noise(round_ring, plane)
        ),
        ON_RING,
        0.05,
        0.05,
    ),
    "normal second moment": (
        NoisyGradientDescent(
            round_ring, round_ring + (radius - 1) * (1 + w1 / 2) * eta**2 / 2, plane, eta
        ),
        ON_RING,
        0.02,
        0.12,
    ),
    "minibatches": (mechanisms.minibatch(*net, batch_size=1), ON_NET, 0.004, 0.1),
}


GENERAL = {
    "anti-correlated descent": "parameter noise",
    "Gaussian DropConnect": "DropConnect, Gaussian",
    "Bernoulli DropConnect": "DropConnect, Bernoulli",
    "dropout of neurons": "dropout of units",
    "scalar multiplicative noise": "a quadratic amplitude",
    "linear scalar noise": "a linear amplitude",
    "normal second moment": "a quadratic amplitude",
}
"""Names in the table for every loss, where they are others."""

KNOWN = {m.name: m for m in FOR_EVERY_LOSS}
STAYS = 0.5
"""Share of the fluctuation that is left at α/4: 1 for a diffusion, at most 1/4 for a flow."""


def first_motion(limit: Limit) -> Limit | None:
    """The limit itself if it moves, or the fastest of the slower scales that does."""
    if limit.time_scale is not None or limit.outcome is Outcome.FROZEN:
        return limit if limit.time_scale is not None else None
    return next((s for s in limit.scales() if s.time_scale is not None), None)


def predicted_exponents(limit: Limit) -> tuple[float, ...]:
    """Exponents of α and σ in the speed, read off the time scale."""
    scale = sp.log(1 / limit.time_scale)
    return tuple(float(sp.simplify(s * scale.diff(s))) for s in (ALPHA, SIGMA))


def measured(limit: Limit, moving: Limit, place, *, diffusive: bool):
    """Speeds along Γ, or growths of the variance, over a grid of (α, σ)."""
    compiled, (start, alpha, sigma) = compile_limit(limit), place
    return measure_scaling(
        Experiment(compiled, paths=8000, seed=(0,)),
        compiled.flow_limit(start),
        alpha=alpha,
        sigma=sigma,
        diffusive=diffusive,
        length=LENGTHS[moving.outcome],
    )


def exponents(moving: Limit, scaling) -> str:
    found = scaling.law.exponents
    pairs = zip(found.value, found.error, strict=True)
    z = (found.value - predicted_exponents(moving)) / found.error
    return ", ".join(f"{p:.4f} ± {e:.4f}" for p, e in pairs) + f" (z = {np.abs(z).max():.1f})"


def fluctuation(moving: Limit, scaling) -> list[str]:
    """Whether it stays; variance along Γ per unit of slow time at α and α/4; what is seen."""
    alphas, sigmas = scaling.alphas, scaling.sigmas
    values = [
        float(scaling.rates.value[k] * moving.time_scale.subs({ALPHA: alphas[k], SIGMA: sigmas[k]}))
        for k in (alphas.argmax(), alphas.argmin())
    ]
    seen = "stays" if values[1] > STAYS * values[0] else "vanishes"
    expected = "stays" if moving.outcome is Outcome.DIFFUSIVE else "vanishes"
    return [expected, *(f"{v:.2g}" for v in values), seen]


def row(name: str, problem: NoisyGradientDescent, *place):
    """What is known for every loss and for the model, as text and as LaTeX, and what is seen."""
    limit = derive_limit(problem)
    moving = first_motion(limit)
    known = KNOWN.get(GENERAL.get(name, name))
    general = None if known is None else known.derive()
    shown = [s for s in equations(moving or limit) if s.label in ("special form", "limit")][-1]
    texts, tex = ["constant", shown.text], ["constant", f"${shown.latex}$"]
    if general is not None and general.outcome is limit.outcome:
        texts, tex = (
            [cells["Reg on Γ"], cells["limit"]]
            for cells in (general.cells(), general.cells(tex=True))
        )
    if moving is None:
        return [name, *texts, limit.outcome.value, "none", "at rest", "–"], tex, None
    speeds = measured(limit, moving, place, diffusive=moving.outcome is Outcome.DIFFUSIVE)
    spread = measured(limit, moving, place, diffusive=True)
    predicted = ", ".join(f"{p:g}" for p in predicted_exponents(moving))
    scale = sp.sstr(moving.time_scale)
    cells = [name, *texts, limit.outcome.value, scale, predicted, exponents(moving, speeds)]
    return cells, tex, [name, moving.outcome.value, *fluctuation(moving, spread)]


HEAD = (
    *("mechanism", "Reg on Γ", "limit", "class", "iterations per unit of time"),
    *("exponents of α, σ", "measured"),
)
FLUCTUATIONS = ("mechanism", "class of the motion", "fluctuation", "at α", "at α/4", "seen")


def as_markdown(head, rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


DOCUMENT = r"""
\documentclass{article}
\usepackage[a4paper,landscape,margin=12mm]{geometry}
\usepackage{amsmath,amssymb,booktabs}
\renewcommand{\arraystretch}{1.5}
\setlength{\parindent}{0pt}
\begin{document}
\footnotesize
%s
\end{document}
"""
SIGNS = {"α": r"$\alpha$", "σ": r"$\sigma$", "Γ": r"$\Gamma$", "±": r"$\pm$", "–": "--"}


def as_tabular(head, rows) -> str:
    lines = [" & ".join(map(in_tex, line)) for line in (head, *rows)]
    body = " \\\\\n".join(lines[1:])
    columns = "l" * len(head)
    top = f"\\begin{{tabular}}{{@{{}}{columns}@{{}}}}\n\\toprule\n{lines[0]} \\\\\n\\midrule\n"
    return f"{top}{body} \\\\\n\\bottomrule\n\\end{{tabular}}"


def in_tex(cell: str) -> str:
    """A cell as LaTeX: its formulas stay, the theory's letters in words become commands."""
    if "$" in cell:
        return cell
    for sign, command in SIGNS.items():
        cell = cell.replace(sign, command)
    return cell


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latex", action="store_true", help="write the tables as LaTeX, too")
    parser.add_argument("--only", nargs="*", help="names of mechanisms", default=[*MECHANISMS])
    options = parser.parse_args()
    began, plain, tex, seen = time.perf_counter(), [], [], []
    for name in options.only:
        cells, formulas, fluctuation_cells = row(name, *MECHANISMS[name])
        print("| " + " | ".join(cells) + " |", flush=True)
        plain.append(cells)
        scale = cells[4] if cells[4] == "none" else f"$1/({sp.latex(1 / sp.sympify(cells[4]))})$"
        tex.append([name, *formulas, cells[3], scale, *cells[5:]])
        if fluctuation_cells is not None:
            seen.append(fluctuation_cells)
    OUTPUT.mkdir(exist_ok=True)
    text = as_markdown(HEAD, plain) + "\n\n" + as_markdown(FLUCTUATIONS, seen) + "\n"
    (OUTPUT / "table_of_mechanisms.md").write_text(text, encoding="utf-8")
    print(as_markdown(FLUCTUATIONS, seen))
    if options.latex:
        tables = f"{as_tabular(HEAD, tex)}\n\n\\bigskip\n{as_tabular(FLUCTUATIONS, seen)}"
        (OUTPUT / "table_of_mechanisms.tex").write_text(DOCUMENT.strip() % tables + "\n")
    print(f"in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
