"""The verdict can say no: a table of wrong limits × models, each cell rejected.

Where a wrong limit coincides with the right one the cell says why, and that is tested instead.
"""

import pytest

from tests.truth.wrong_limits import COMPILED, EXAMPLES, WRONG, cell, right_limit, verdict

QUICK = EXAMPLES[:2]

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
