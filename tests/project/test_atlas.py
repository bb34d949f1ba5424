"""The atlas of published limits: each entry is confirmed anew, and a wrong one is not."""

from dataclasses import replace

import pytest

from worked_examples.atlas import ENTRIES
from worked_examples.atlas.entry import Course, Entry, Read, judge
from worked_examples.atlas.measure import Motion, Point, measure
from worked_examples.atlas.page import as_html, kind

QUICK = (
    "anti-pgd",
    "label-noise-lwa",
    "scalar-multiplicative",
    "sam",
    "minibatch",
    "linear-scalar",
    "quantisation",
    "bernoulli-dropconnect-on-a-product",
    "sam-at-a-step",
    "sam-toy",
    "one-sam-toy",
    "normalised-descent",
    "root-descent",
    "river-valley",
    "weight-decay",
)
"""Those that take a tenth of a second; all others are judged in the slow run."""


def entry(name: str) -> Entry:
    (found,) = (e for e in ENTRIES if e.name == name)
    return found


@pytest.mark.parametrize(
    "chosen",
    [pytest.param(e, marks=() if e.name in QUICK else pytest.mark.slow) for e in ENTRIES],
    ids=lambda e: e.name,
)
def test_entry_is_confirmed(chosen: Entry) -> None:
    judgement = judge(chosen)
    assert judgement.confirmed, judgement.verdict
    expected = "agrees" if chosen.corrected is None else "differs"
    assert kind(judgement) == expected


def test_names_are_their_own() -> None:
    names = [e.name for e in ENTRIES]
    assert len(set(names)) == len(names)
    published = [e for e in ENTRIES if e.source.read is not Read.OWN]
    assert len(published) > len(ENTRIES) / 2


@pytest.mark.parametrize("name", ["anti-pgd", "sam", "minibatch"])
def test_a_wrong_statement_is_rejected(name: str) -> None:
    right = entry(name)
    drift = [1, 1, 0][: len(list(right.printed.drift))]
    wrong = replace(right.printed, drift=drift)
    if right.printed.scale is None:
        wrong = replace(wrong, scale=entry("anti-pgd").printed.scale)
    judgement = judge(replace(right, printed=wrong))
    assert kind(judgement) == "failed"
    assert "not confirmed" in as_html([judgement], {})


@pytest.mark.slow
@pytest.mark.parametrize(
    "chosen", [e for e in ENTRIES if e.course is not None], ids=lambda e: e.name
)
def test_the_recursion_moves_as_derived(chosen: Entry) -> None:
    """At the speed of the limit, and not at 1.2 times it."""
    motion = measure(chosen.derive(), chosen.course)
    assert motion.agrees, motion
    faster = [replace(p, predicted=1.2 * p.predicted) for p in motion.points]
    assert not Motion(tuple(faster), ()).agrees


def test_what_moves_is_measured() -> None:
    still = {e.name for e in ENTRIES if e.printed.scale is None}
    unmeasured = {e.name for e in ENTRIES if e.course is None}
    assert unmeasured == still


def test_the_recursion_tells_twice_the_speed() -> None:
    """What is measured is the recursion: a limit of half the noise is seen to be wrong."""
    chosen = entry("linear-scalar")
    course = Course((0.6, 0.8), (0.1,), (0.1,), distance=0.02, paths=200)
    (point,) = measure(chosen.derive(), course).by_alpha
    assert 0 < point.error < 0.02 * point.predicted
    assert abs(point.measured - point.predicted) < 4.5 * point.error
    assert abs(point.measured - 2 * point.predicted) > 4.5 * point.error


def test_page() -> None:
    judgements = [judge(entry(name)) for name in ("sam", "scalar-multiplicative")]
    page = as_html(judgements, {})
    assert "agreeing with print 1, differing from it 1, not confirmed 0; measured 0" in page
    assert page.count("<section") == 2
    assert "witness" in page
    assert page.count("was not run") == 2
    slow = tuple(Point(a, 0.1, a, 0.01 * a, 2 * a) for a in (0.1, 0.2))
    page = as_html(judgements[:1], {"sam": Motion(slow, slow[:1])})
    assert "measured 1, against the derivation 1" in page
    assert "at ANOTHER speed" in page
