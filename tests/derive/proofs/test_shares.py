"""What share of the verdicts is proved, over all families of models."""

import pytest

from tests.derive.proofs.shares import FAMILIES, shares

SLOWEST = 50.0
"""Milliseconds that the checker may take for a claim of up to 16 weights."""


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_proved(family: str) -> None:
    """Each "no", and nine "yes" of ten; the checker's time is that of the processor."""
    found = shares(family)
    assert found.models > 0, found
    assert found.certified_no == found.no, found.reasons
    assert found.certified_yes >= 0.9 * found.yes, found.reasons
    assert found.slowest <= SLOWEST
