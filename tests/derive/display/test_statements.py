"""Factors and signs of what is printed: as text, as LaTeX, and in the explanation."""

import pytest
import sympy as sp

from derive import NoisyGradientDescent, derive_limit
from derive.display.notation import phrase, portable

x, y, z, a, b, eta = sp.symbols("x y z a b eta", real=True)
RING = (x**2 + y**2 - 1) ** 2 * (2 + x) / 4


def squeezed(text: str) -> str:
    return text.replace(" ", "").replace("\\,", "")


@pytest.mark.parametrize(
    ("variance", "factor", "tex"), [(4, "", "-"), (2, "1/2 ", r"-\frac{1}{2}")]
)
def test_label_noise_is_minus_a_quarter_of_c_laplacian(variance, factor, tex):
    """Σ = cH: −(c/4) P∇ΔL."""
    size = sp.sqrt(variance)
    loss = (x * y - 1) ** 2 / 2
    noisy = loss - size * a * (x * y - 1)
    limit = derive_limit(NoisyGradientDescent(loss, noisy, (x, y), (a,)))
    assert f"−{factor}P∇ΔL" in str(limit)
    assert squeezed(tex + r"P\nabla\Delta L") in squeezed(limit.latex())


def test_label_noise_at_a_step():
    """−P∇ of −(c/2α) log det(1 − αH/2), that is (c/2α) P∇ log det."""
    loss = (x * y - 1) ** 2 / 2
    limit = derive_limit(NoisyGradientDescent(loss, loss - 2 * a * (x * y - 1), (x, y), (a,)))
    at_step = limit.at_step(sp.Rational(1, 10))
    assert "20 P∇ log (1 − 1/20 ΔL)" in str(at_step)
    # Its slope at the point (2, ½): H = 17/4, and log det = log(1 − (x² + y²)/20).
    slope = sp.Matrix([sp.log(1 - (x**2 + y**2) / 20).diff(w) for w in (x, y)])
    normal = sp.Matrix([y, x])
    along = slope - normal * (normal.T * slope)[0] / (x**2 + y**2)
    point = {x: 2, y: sp.Rational(1, 2)}
    assert sp.simplify((at_step.drift - 20 * along).subs(point)) == sp.zeros(2, 1)


def test_normal_noise_of_constant_size_is_minus_a_quarter_of_log_laplacian():
    limit = derive_limit(NoisyGradientDescent(RING, RING + (x**2 + y**2) * a / 2, (x, y), (a,)))
    assert "−1/4 P∇ log ΔL" in str(limit)
    assert squeezed(r"-\frac{1}{4}P\nabla\log") in squeezed(limit.latex())


def test_additive_noise():
    limit = derive_limit(NoisyGradientDescent(RING, RING + 2 * (a * x + b * y), (x, y), (a, b)))
    assert "−P∇ log ΔL, and Brownian motion" in str(limit)
    assert squeezed(r"-P\nabla\log\Delta L") in squeezed(limit.latex())


def test_a_half_is_printed():
    """½ in a phrase is ½ in LaTeX."""
    assert r"\tfrac{1}{2}" in phrase("½ P D²Φ[Σ] = 0 on Γ")


@pytest.mark.parametrize(
    ("letter", "tex"), [("σ", r"\sigma"), ("γ", r"\gamma"), ("Γ", r"\Gamma"), ("Δ", r"\Delta")]
)
def test_greek_letters_keep_their_case(letter, tex):
    assert tex in portable(f"a {letter} b")


def test_the_regularizer_on_the_manifold_is_the_shorter_one():
    loss = (x**2 + y**2 - 1) ** 2 / 4
    noisy = loss + (x**2 + y**2) * (2 + x) * a**2 / 2
    limit = derive_limit(NoisyGradientDescent(loss, noisy, (x, y), (a,)))
    on_manifold = limit.latex().split(r"\mathrm{Reg}|_\Gamma", 1)[1].splitlines()[0]
    assert "y" not in on_manifold
    assert sp.simplify(limit.regularizer_on_manifold - (2 + x) / 2) == 0


def test_the_spectrum_runs_from_low_to_high():
    loss = ((x**2 + y**2 - 1) ** 2 + (z - x) ** 2) / 2
    problem = NoisyGradientDescent(loss, loss + a * x, (x, y, z), (a,))
    text = str(derive_limit(problem).explain())
    line = next(line for line in text.splitlines() if "eigenvalues from" in line)
    low, high = (float(word) for word in line.split("from ")[1].split(" over")[0].split(" to "))
    assert 0 < low < high
    bound = float(line.split("α < ")[1].split()[0])
    assert bound == pytest.approx(2 / high, rel=1e-3)
