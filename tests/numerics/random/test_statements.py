"""The tree of statements."""

from __future__ import annotations

import pytest

from numerics.random.statements import Each, For, If, Lanes, Statement


@pytest.mark.parametrize("other", [For("j", "1, n"), For("i", "n"), Each("i", "1, n"), If("x")])
def test_statements_are_equal_by_content(other: Statement) -> None:
    assert For("i", "1, n") == For("i", "1, n")
    assert For("i", "1, n") != other
    assert Lanes("x = 1.0") == Lanes("x = 1.0") != Lanes("x = 2.0")
