"""The verdict can say no: a table of wrong limits × models, each cell rejected by what sees it.

Where a wrong limit coincides with the right one the cell says why, and that is tested instead.
"""

from dataclasses import replace

import pytest

from tests.truth.wrong_limits import (
    COMPILED,
    EXAMPLES,
    SURFACE,
    WRONG,
    cell,
    right_limit,
    verdict,
    wrongly_compiled,
)

QUICK = EXAMPLES[:2]
"""One without degenerate noise and one with it, in which nothing diffuses: few paths are enough."""

models = pytest.mark.parametrize(
    "example",
    [pytest.param(e, id=e.name, marks=[] if e in QUICK else pytest.mark.slow) for e in EXAMPLES],
)


@models
def test_right_limit_passes(example):
    report = verdict(right_limit(example), example)
    assert report.passed, str(report)


@models
@pytest.mark.parametrize("wrong", [*WRONG, *COMPILED])
def test_wrong_limit_is_rejected(wrong, example):
    found = cell(wrong, example)
    assert found.as_it_should_be, str(found)


def test_a_surface_with_few_paths():
    """What takes no more than an order of magnitude to see of a diffusion in space."""
    few = replace(SURFACE, paths=150)
    right = verdict(right_limit(SURFACE), few)
    assert right.passed, str(right)
    with wrongly_compiled(COMPILED["diffusion without P"]):
        wrong = verdict(right_limit(SURFACE), few)
    assert {check.name.split()[0] for check in wrong.checks if not check.passed} == {"covariance"}
