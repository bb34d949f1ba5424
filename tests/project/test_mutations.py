"""The table of changes fits the sources, and one that is noticed is told from one that is not."""

from pathlib import Path

import pytest

from tests.mutations.changes import Change, Copy, Result, TableError, changes

MODULE = "numerics/validation/checks.py"
TEST = "tests/numerics/validation/test_checks.py::test_both_errors_count"


def test_every_change_can_be_made():
    for change in changes():
        change.applied()


def test_no_change_is_listed_twice():
    listed = [(change.file, change.old, change.new) for change in changes()]
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("no such text", "x", "occurs 0 times"),
        ("import", "x", r"occurs \d+ times"),
        ("class Finding:", "class Finding:", "nothing is changed"),
        ("class Finding:", "class Finding(:", "never closed|invalid syntax"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused(old, new, message):
    with pytest.raises(TableError, match=message):
        Change(MODULE, old, new, (TEST,)).applied()


@pytest.mark.slow
def test_killed_survived_and_explained(tmp_path):
    copy = Copy.at(tmp_path / "copy")
    text = (copy.root / MODULE).read_text(encoding="utf-8")
    killed = Change(MODULE, "np.hypot(measured.error, expected.error)", "measured.error", (TEST,))
    unseen = Change(
        MODULE, '"""A hypothesis tested on its own', '"""A hypothesis tested alone', (TEST,)
    )
    explained = Change(unseen.file, unseen.old, unseen.new, (TEST,), "only words")
    results = [copy.try_out(change) for change in (killed, unseen, explained)]
    assert results == [Result.KILLED, Result.SURVIVED, Result.EXPLAINED]
    assert (copy.root / MODULE).read_text(encoding="utf-8") == text
    with pytest.raises(TableError, match="no_such_test"):
        copy.try_out(Change(MODULE, killed.old, killed.new, (f"{TEST}_no_such_test",)))
    assert Path(copy.root / MODULE).read_text(encoding="utf-8") == text
