"""Derive every entry of the atlas anew, measure what is affordable, and write the page.

`python -m worked_examples.atlas`, some minutes; with `--quick` nothing is measured.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm.auto import tqdm

from derive.files.atomic_write import write_atomically

from . import ENTRIES
from .entry import judge
from .measure import measure
from .page import as_html, kind

OUTPUT = Path(__file__).parent.parent / "output" / "atlas.html"


def main() -> int:
    """The command; the exit status is 1 if an entry is not confirmed, or measured otherwise."""
    parser = argparse.ArgumentParser(prog="python -m worked_examples.atlas", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="derive and compare, do not measure")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the page")
    given = parser.parse_args()
    judgements, motions = [], {}
    for entry in (bar := tqdm(ENTRIES, unit="entry")):
        bar.set_description(entry.name)
        judgements.append(judge(entry))
        if entry.course is not None and not given.quick:
            motions[entry.name] = measure(judgements[-1].limit, entry.course)
    page = as_html(judgements, motions).encode()
    given.output.parent.mkdir(exist_ok=True)
    write_atomically(given.output, lambda file: file.write(page))
    failed = [j.entry.name for j in judgements if kind(j) == "failed"]
    print(f"{len(judgements)} entries in {given.output}")
    if failed:
        print(f"not confirmed: {', '.join(failed)}")
    against = [name for name, motion in motions.items() if not motion.agrees]
    if against:
        print(f"the recursion moves at another speed: {', '.join(against)}")
    return bool(failed or against)


if __name__ == "__main__":
    raise SystemExit(main())
