"""`python -m tests.mutations`: try the changes of the table, and print what becomes of each.

Exit codes: 0 each is noticed or explained, 1 one is not, 2 the table does not fit the sources or
the unchanged ones fail, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import queue
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm.auto import tqdm

from .changes import Change, Copy, Result, TableError, changes


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        wanted = [change for change in changes() if options.only in str(change)]
        part, parts = map(int, options.slice.split("/"))
        wanted = wanted[part - 1 :: parts]
        for change in wanted:
            change.applied()
        with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
            results = _try_all(wanted, Path(folder), options)
    except TableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    counts = Counter(results.values())
    print(f"{len(results)} changes:", ", ".join(f"{counts[r]} {r.value}" for r in Result))
    return 1 if counts[Result.SURVIVED] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="changes at a time")
    parser.add_argument("--only", default="", metavar="TEXT", help="changes that hold this text")
    parser.add_argument("--slice", default="1/1", metavar="I/N", help="every Nth change, from I on")
    parser.add_argument(
        "--unchecked", action="store_true", help="do not run the tests on unchanged sources first"
    )
    return parser


def _try_all(
    wanted: list[Change], folder: Path, options: argparse.Namespace
) -> dict[Change, Result]:
    copies: queue.Queue[Copy] = queue.Queue()
    for i in range(max(1, options.jobs)):
        copies.put(Copy.at(folder / str(i)))
    if not options.unchecked:
        every = sorted({test for change in wanted for test in change.tests})
        if not Copy.at(folder / "unchanged").passes(every, processes=options.jobs):
            raise TableError("the tests fail on unchanged sources; run pytest first")

    def try_out(change: Change) -> Result:
        copy = copies.get()
        try:
            return copy.try_out(change)
        finally:
            copies.put(copy)

    results = {}
    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        try:
            bar = tqdm(pool.map(try_out, wanted), total=len(wanted), unit="change", disable=None)
            for change, result in zip(wanted, bar, strict=True):
                results[change] = result
                note = f" ({change.equivalent})" if result is Result.EXPLAINED else ""
                tqdm.write(f"{result.value}: {change}{note}", file=sys.stdout)
                sys.stdout.flush()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


if __name__ == "__main__":
    sys.exit(main())
