"""The tree of statements, and its text for numba."""

from __future__ import annotations

import pytest

from numerics.random.lanes import LANES
from numerics.random.statements import For, If, Lanes, Statement, in_python

TREE = [
    "total = 0.0",
    For(
        "i",
        "1, n",
        "x = values[i]",
        If("x > 0.0", Lanes("E[i, b] = x"), "total += x"),
    ),
    "done = 1.0",
]
TEXT = f"""
total = 0.0
for i in range(1, n):
    x = values[i]
    if x > 0.0:
        for b in range({LANES}):
            E[i, b] = x
        total += x
done = 1.0
"""


def test_text_for_numba() -> None:
    assert in_python(TREE) == TEXT.strip().splitlines()
    assert in_python(TREE, depth=2) == ["        " + line for line in TEXT.strip().splitlines()]


def in_c(statements: list[Statement] | tuple[Statement, ...]) -> list[str]:
    """Another language is a function of the same tree."""
    lines = []
    for s in statements:
        match s:
            case str():
                lines.append(f"{s};")
            case For(over=over):
                start, stop = over.split(", ")
                lines.append(f"for (long {s.index} = {start}; {s.index} < {stop}; {s.index}++) {{")
                lines += [*in_c(s.body), "}"]
            case If():
                lines += [f"if ({s.condition}) {{", *in_c(s.body), "}"]
            case Lanes():
                lines += [f"for (long b = 0; b < {LANES}; b++) {{", *in_c(s.body), "}"]
    return lines


def test_another_language_is_another_function_of_the_tree() -> None:
    assert "".join(in_c(TREE)) == (
        "total = 0.0;for (long i = 1; i < n; i++) {x = values[i];if (x > 0.0) {"
        f"for (long b = 0; b < {LANES}; b++) {{E[i, b] = x;}}total += x;}}}}done = 1.0;"
    )


@pytest.mark.parametrize("other", [For("j", "1, n"), For("i", "n"), Lanes(), If("x")])
def test_statements_are_equal_by_content(other: Statement) -> None:
    assert For("i", "1, n") == For("i", "1, n")
    assert For("i", "1, n") != other
