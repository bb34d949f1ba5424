"""What the questions of the classification answer in cases that are easily confused."""

import pytest
import sympy as sp

from derive import NoisyGradientDescent, Outcome, alpha, derive_limit, sigma
from derive.noise.classification import _all, _constant_ratio
from derive.symbolic.zero_tests import Basis, Verdict, proved

x, y, z, a, b = sp.symbols("x y z a b", real=True)
ON_ELLIPSE, ON_SHEET = (x**2 + 3 * y**2 - 1) / 2, z - x**2 / 2
LOSS = (ON_ELLIPSE**2 + ON_SHEET**2) / 2


def label_noise(first, second):
    noisy = LOSS - first * a * ON_ELLIPSE - second * b * ON_SHEET
    return derive_limit(NoisyGradientDescent(LOSS, noisy, (x, y, z), (a, b)))


def test_equal_label_noise_is_a_multiple_of_the_hessian():
    limit = label_noise(2, 2)
    assert limit.classification.hessian_multiple == 4
    assert limit.outcome is Outcome.DETERMINISTIC


@pytest.mark.parametrize("variances", [(1, 2), (0, 1), (1, 0)])
def test_unequal_label_noise_is_no_multiple_of_the_hessian(variances):
    limit = label_noise(*variances)
    assert limit.classification.hessian_multiple is None
    # The drift of c H with the c of either residual is another one.
    for c in (1, 4):
        assert limit.check(list(-sp.Rational(c, 4) * along_laplacian())).value is not True


def along_laplacian() -> sp.Matrix:
    j = sp.Matrix([ON_ELLIPSE, ON_SHEET]).jacobian([x, y, z])
    projector = sp.eye(3) - j.T * (j * j.T).inv() * j
    laplacian = sum(LOSS.diff(w, 2) for w in (x, y, z))
    return projector * sp.Matrix([laplacian.diff(w) for w in (x, y, z)])


@pytest.mark.parametrize(("stretch", "multiple"), [(1, 1), (2, None)])
def test_rotated_label_noise_is_a_multiple_of_the_hessian_too(stretch, multiple):
    """No column is along one constraint alone, but Σ = H for columns turned by an angle."""
    c, s = sp.Rational(3, 5), sp.Rational(4, 5)
    first, second = c * ON_ELLIPSE + s * ON_SHEET, -s * ON_ELLIPSE + c * ON_SHEET
    noisy = LOSS - a * first - stretch * b * second
    limit = derive_limit(NoisyGradientDescent(LOSS, noisy, (x, y, z), (a, b)))
    assert limit.classification.hessian_multiple == multiple


def test_a_covariance_given_as_such_is_read_as_one():
    slope = sp.Matrix([ON_ELLIPSE]).jacobian([x, y, z]).T
    other = sp.Matrix([ON_SHEET]).jacobian([x, y, z]).T
    hessian = slope * slope.T + other * other.T
    for given, multiple in ((3 * hessian, 3), (3 * hessian + slope * slope.T, None)):
        problem = NoisyGradientDescent.from_gradient_noise(LOSS, given, (x, y, z))
        assert derive_limit(problem).classification.hessian_multiple == multiple


@pytest.mark.parametrize("sign", [1, -1])
def test_a_penalty_may_cancel_the_drift_with_one_sign_only(sign):
    """Linear scalar noise on x² + y² = 1 drifts by −P∇ ¼ log ΔL = −P∇ ¼ log (2 + x)."""
    loss = (x**2 + y**2 - 1) ** 2 * (2 + x) / 4
    penalty = -sign * alpha * sigma**2 * sp.log(2 + x) / 4
    noisy = loss + (x**2 + y**2) * a / 2
    problem = NoisyGradientDescent(loss, noisy, (x, y), (a,), penalty=penalty)
    expected = Outcome.TRIVIAL if sign == 1 else Outcome.DETERMINISTIC
    assert derive_limit(problem).outcome is expected


YES, NUMERICAL = proved("it is"), Verdict(True, Basis.NUMERICAL, "it seems so")
NO, UNKNOWN = Verdict(False, Basis.WITNESS, "not here"), Verdict(None, Basis.UNDECIDED, "?")


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([YES, YES], YES),
        ([YES, NUMERICAL], NUMERICAL),
        ([NUMERICAL, NO], NO),
        ([NO, YES], NO),
        ([YES, UNKNOWN], UNKNOWN),
        ([UNKNOWN, NO], NO),
    ],
)
def test_of_several_verdicts_the_weakest_counts(verdicts, expected):
    assert _all(verdicts) is expected


@pytest.mark.parametrize(
    ("column", "ratio"), [([2 * x, 4 * y], 2), ([2 * x, 3 * y], None), ([x * y, 2 * y**2], None)]
)
def test_a_column_is_a_constant_multiple_or_not(column, ratio):
    assert _constant_ratio(column, [x, 2 * y], (x, y)) == ratio
