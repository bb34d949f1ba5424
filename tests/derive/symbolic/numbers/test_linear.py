"""Small linear algebra in floats and to 50 digits."""

import mpmath
import numpy as np
import pytest
from mpmath import fp, mp

from derive.symbolic.numbers.linear import (
    are_clearly_independent,
    gram,
    independent_rows,
    orthonormal_basis,
    perpendicular,
    solve,
)

RNG = np.random.default_rng(3)


def test_elimination_chooses_the_largest_pivot():
    """Without it the small corner would cost all digits."""
    matrix = [[1e-20, 1.0, 2.0], [1.0, 1.0, -1.0], [3.0, -2.0, 1.0]]
    right = [1.0, 2.0, 3.0]
    assert solve(matrix, right) == pytest.approx(np.linalg.solve(matrix, right), rel=1e-14)
    swapped = [[0.0, 1.0], [1.0, 0.0]]
    assert solve(swapped, [2.0, 3.0]) == [3.0, 2.0]
    with pytest.raises(ZeroDivisionError):
        solve([[1.0, 2.0], [2.0, 4.0]], [1.0, 1.0])


def test_a_gram_matrix_is_symmetric():
    rows = RNG.normal(size=(3, 5))
    assert np.array(gram(rows.tolist())) == pytest.approx(rows @ rows.T)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_independence_does_not_depend_on_units(scale):
    rows = RNG.normal(size=(2, 4))
    rows = scale * np.vstack([rows, rows.sum(axis=0)])
    assert are_clearly_independent(rows[:2].tolist())
    assert not are_clearly_independent(rows.tolist())
    assert len(independent_rows(rows.tolist(), 1e-10, fp)) == 2
    almost = rows + scale * 1e-11 * RNG.normal(size=rows.shape)
    assert not are_clearly_independent(almost.tolist())
    assert len(independent_rows(almost.tolist(), 1e-9, fp)) == 2


def test_more_rows_than_columns_are_dependent():
    assert not are_clearly_independent(RNG.normal(size=(4, 3)).tolist())


def test_to_fifty_digits():
    with mpmath.workdps(50):
        rows = [[mp.mpf(1) / 3, mp.mpf(2), mp.mpf(-1)], [mp.mpf(0), mp.mpf(1) / 7, mp.mpf(5)]]
        vector = [mp.mpf(1), mp.mpf(-2) / 3, mp.mpf(1) / 11]
        left = perpendicular(rows, vector)
        for row in rows:
            assert abs(mp.fdot(row, left)) < mp.mpf(10) ** -44
        # The rest is a combination of the rows.
        basis = orthonormal_basis(rows)
        for i, unit in enumerate(basis):
            for j, other in enumerate(basis):
                assert abs(mp.fdot(unit, other) - (i == j)) < mp.mpf(10) ** -48
        along = [sum(mp.fdot(unit, vector) * unit[k] for unit in basis) for k in range(3)]
        gaps = [abs(x + y - z) for x, y, z in zip(left, along, vector, strict=True)]
        assert max(gaps) < mp.mpf(10) ** -44
