"""What the limit of a network says, as labelled statements.

The statements are those of `derive.display`, so that text, notebook and LaTeX cannot disagree.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from derive import Outcome, alpha, sigma
from derive.deductions.deductions import Deduction, Explanation, Hypothesis, Standing
from derive.display.notation import Formula, Words
from derive.display.statements import MEANINGS, Statement, question

from .network import Network
from .normal_space.geometry import Surface

EQUATIONS = {
    Outcome.NON_DEGENERATE: ("−P∇Reg dt", r"-P \nabla \mathrm{Reg}(W)\, dt"),
    Outcome.DIFFUSIVE: (
        "P S dB + ½ D²Φ[Σ] dt",
        r"P S\, dB + \tfrac12 D^2\Phi(W)[\Sigma(W)]\, dt",
    ),
    Outcome.DETERMINISTIC: ("½ D²Φ[Σ] dt", r"\tfrac12 D^2\Phi(W)[\Sigma(W)]\, dt"),
}
AT_A_STEP = {
    Outcome.NON_DEGENERATE: (
        "[−P∇Reg + (α/2) D²Φ_α[Σ]] dt + √α P S dB",
        r"[-P \nabla \mathrm{Reg}(W) + \tfrac{\alpha}{2} D^2\Phi_\alpha(W)[\Sigma(W)]]\, dt"
        r" + \sqrt{\alpha}\, P S\, dB",
    ),
    Outcome.DIFFUSIVE: (
        "P S dB + ½ D²Φ_α[Σ] dt",
        r"P S\, dB + \tfrac12 D^2\Phi_\alpha(W)[\Sigma(W)]\, dt",
    ),
    Outcome.DETERMINISTIC: (
        "½ D²Φ_α[Σ] dt",
        r"\tfrac12 D^2\Phi_\alpha(W)[\Sigma(W)]\, dt",
    ),
}
"""The equation dW = … of each outcome, as text and LaTeX, as α → 0 and at a step size."""


def statements(limit: Any) -> list[Statement]:
    """What a limit of a network says, in the order in which it is read."""
    return [
        *_setting(limit.problem, limit.origin),
        *_outcome(limit),
        *_equation(limit),
        *_precision(limit),
    ]


def explanation(limit: Any) -> Explanation:
    """The derivation in steps, with the hypotheses and the numbers that were found for them."""
    return Explanation(
        (
            ("The network", tuple(map(Deduction, _setting(limit.problem, limit.origin)))),
            ("Which theorem applies", tuple(map(Deduction, _outcome(limit)))),
            ("The limit", tuple(map(Deduction, (*_equation(limit), *_precision(limit))))),
        ),
        tuple(_hypotheses(limit.problem, limit.origin)),
    )


def _said(label: str, text: str) -> Statement:
    return Statement(label, text, (Words(text),))


def _setting(network: Network, origin: Surface) -> list[Statement]:
    values, noise = origin.values, network.noise
    drawn = "none" if noise is None else f"{noise.name}, {noise.law}"
    batch = "" if network.batch_size is None else f", batches of {network.batch_size}"
    free = network.dimension - origin.rank
    return [
        _said("network", f"{network.dimension} weights, {network.count} residuals"),
        _said("noise", drawn + batch),
        _said("rule", str(network.optimizer)),
        _said("Γ", f"dimension {free} in R^{network.dimension}"),
        *([_said("probes", str(network.probes))] if network.probes is not None else []),
        _said("H", f"positive eigenvalues {values[0]:.4g} … {values[-1]:.4g}"),
    ]


def _outcome(limit: Any) -> list[Statement]:
    steps = limit.evidence.steps
    text = "\n".join(f"{step.question}: {step.verdict}" for step in steps)
    parts = tuple(part for step in steps for part in question(step))
    return [
        _said("outcome", f"{limit.outcome.value}: {MEANINGS[limit.outcome]}"),
        Statement("because", text, parts),
    ]


def _equation(limit: Any) -> list[Statement]:
    if limit.time_scale is None:
        return []
    step = limit.equation.step
    text, tex = (AT_A_STEP if step else EQUATIONS)[limit.outcome]
    where = f", α = {step:g}" if step else ""
    unit = str(limit.time_scale).replace(str(alpha), "α").replace(str(sigma), "σ")
    return [
        Statement("equation", f"dW = {text}{where}", (Formula((f"dW = {tex}",)), Words(where[2:]))),
        Statement(
            "time scale",
            f"one unit of slow time is {unit} iterations",
            (Formula((r"t = k\,", 1 / limit.time_scale)),),
        ),
    ]


def _precision(limit: Any) -> list[Statement]:
    if limit.problem.precision == "float64":
        return []
    return [_said("precision", f"float32, which changes the drift by {limit.rounding():.1e}")]


def _hypotheses(network: Network, origin: Surface) -> list[Hypothesis]:
    r, values = network.residual.doubles(origin.point), origin.values
    names = ", ".join(network.kinks())
    smooth = (
        Hypothesis("the residuals are smooth", "no operation with a kink", Standing.PROVED)
        if not names
        else Hypothesis("no sample crosses a kink", f"{names}; runs count those crossed")
    )
    bound = network.optimizer.bound(values[-1])
    return [
        Hypothesis(
            "the network interpolates",
            f"residuals of {np.sqrt(np.mean(r**2)):.1e} in root mean square at the given point",
            Standing.SAMPLED,
        ),
        Hypothesis(
            "Γ is a manifold, J of constant rank",
            f"rank {origin.rank} at the given point and around it, H from {values[0]:.4g} on",
            Standing.SAMPLED,
        ),
        Hypothesis(
            "Γ attracts at the step size of a run",
            f"α < {bound:.4g} at the given point; runs watch it",
            Standing.SAMPLED,
        ),
        smooth,
        Hypothesis("σ → 0 before α → 0", "the scaling regime"),
    ]
