"""What is printed, word for word: `str`, `latex()` and `explain()`, with every kind of line.

The texts stand in the folder `golden`. After a change that is meant, read the difference of

    python -m tests.derive.display.test_display

which writes them anew, as one reads any other change.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import sympy as sp

from derive import (
    CustomLaw,
    Gaussian,
    Independent,
    Limit,
    Minibatch,
    NoisyGradientDescent,
    alpha,
    derive_limit,
    sigma,
)
from derive.mechanisms import additive_noise, label_noise, minibatch_label_noise, parameter_noise

GOLDEN = Path(__file__).parent / "golden"

w1, w2, w3, w4 = sp.symbols("w1:5", real=True)
e1, e2, theta, c, x = sp.symbols("e1 e2 theta c x", real=True)
RING = (w1**2 + w2**2 - 1) ** 2
HYPERBOLA = (w1 * w2 - 1) ** 2 / 2
CIRCLES = (w1**2 + w2**2 - 1) ** 2 * (w1**2 + w2**2 - 4) ** 2 / 40


def ring_in_a_chart() -> Limit:
    chart = ((theta,), (sp.cos(theta), sp.sin(theta)))
    loss = RING * (2 + w1) / 4
    return derive_limit(
        NoisyGradientDescent(
            loss, loss + (w1**2 + c * w2) * e1**2, (w1, w2), (e1,), parameters=(c,), chart=chart
        )
    )


def ellipse() -> Limit:
    return derive_limit(additive_noise((w1**2 + 4 * w2**2 - 1) ** 2 / 8, (w1, w2)))


def diagonal_net() -> Limit:
    model = w1 * w2 * x
    return derive_limit(label_noise(model, (x,), [(1,)], (1,), (w1, w2)))


def linear_scalar_at_a_step() -> Limit:
    loss = RING * (2 + w1) / 8
    radial = loss + (w1**2 + w2**2) * e1 / 2
    return derive_limit(NoisyGradientDescent(loss, radial, (w1, w2), (e1,))).at_step()


def third_scale() -> Limit:
    loss = RING / 8
    push = (w1**2 + w2**2 - 1) * (1 + w1 / 2) * e1**2 / 2
    return derive_limit(NoisyGradientDescent(loss, loss + push, (w1, w2), (e1,))).scales()[0]


def batches_with_noisy_labels() -> Limit:
    problem = minibatch_label_noise(
        w1 * w3 * x + w2 * w4, (x,), [(1,), (2,)], (1, 2), (w1, w2, w3, w4), batch_size=1
    )
    return derive_limit(problem)


def jumps_and_a_penalty() -> Limit:
    law = Independent({e1: CustomLaw([[1]], [([2], sp.Rational(1, 3))]), e2: Gaussian()})
    noisy = HYPERBOLA + e1 * w1 + e2 * w2
    penalty = alpha * sigma**2 * (w1**2 + w2**2) / 2
    problem = NoisyGradientDescent(HYPERBOLA, noisy, (w1, w2), (e1, e2), law, penalty=penalty)
    return derive_limit(problem)


def one_of_two_circles() -> Limit:
    noisy = CIRCLES + e1 * w1 * (w1**2 + w2**2 - 4) + sp.Abs(w1 - 3) * e2**2 * w2
    return derive_limit(NoisyGradientDescent(CIRCLES, noisy, (w1, w2), (e1, e2), near=(0.6, 0.8)))


def gradient_noise_with_momentum() -> Limit:
    matrix = sp.Matrix([[1, 0], [w1, w2]])
    problem = NoisyGradientDescent.from_gradient_noise(
        HYPERBOLA, matrix, (w1, w2), (e1, e2), law=Gaussian([[2, 1], [1, 1]])
    )
    return derive_limit(problem).at_step(sp.Rational(1, 10), sp.Rational(1, 2))


def next_order() -> Limit:
    return derive_limit(parameter_noise(HYPERBOLA, (w1, w2))).effective()


def frozen_batches() -> Limit:
    losses = ((w1 - w2) ** 2, (w1 + w2 - 2 * w3) ** 2)
    weighted = sum((1 + e) * loss for e, loss in zip((e1, e2), losses, strict=True))
    law = Minibatch(2, 1)
    return derive_limit(NoisyGradientDescent(sum(losses), weighted, (w1, w2, w3), (e1, e2), law))


MODELS: tuple[Callable[[], Limit], ...] = (
    ring_in_a_chart,
    ellipse,
    diagonal_net,
    linear_scalar_at_a_step,
    third_scale,
    batches_with_noisy_labels,
    jumps_and_a_penalty,
    one_of_two_circles,
    gradient_noise_with_momentum,
    next_order,
    frozen_batches,
)


def shown(limit: Limit) -> str:
    """All that is printed of a limit."""
    return (
        "\n\n".join((str(limit), limit.latex(), str(limit.explain()), limit.explain().latex()))
        + "\n"
    )


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_what_is_printed(model: Callable[[], Limit]) -> None:
    golden = (GOLDEN / f"{model.__name__}.txt").read_text(encoding="utf-8")
    assert shown(model()) == golden


def test_every_kind_of_line_is_shown() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in GOLDEN.glob("*.txt"))
    labels = (
        "loss", "noisy loss", "gradient noise", "penalty", "noise", "Γ", "not on Γ",
        "projector on Γ", "Reg", "Reg on Γ", "outcome", "because", "time scale", "limit", "V₂",
        "special form", "potential", "drift", "diffusion", "in the chart", "spectrum of H",
        "jump measure", "Theorem A", "Theorem B", "correction",
    )  # fmt: skip
    for label in labels:
        assert f"\n{label} " in f"\n{text}" or f"   {label}: " in text, label


def main() -> None:
    """Write the texts anew."""
    GOLDEN.mkdir(exist_ok=True)
    for model in MODELS:
        (GOLDEN / f"{model.__name__}.txt").write_text(shown(model()), encoding="utf-8")


if __name__ == "__main__":
    warnings.simplefilter("error")
    main()
