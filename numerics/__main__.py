"""`python -m numerics MODEL`: run the recursion beside its limit, and say whether they agree.

Exit codes: 0 they agree, 1 they do not, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np

from derive import Limit, command, derive_limit
from derive.__main__ import MODEL_HELP
from derive.files.atomic_write import check_writable, write_atomically
from derive.files.models.model_file import RunSettings, load_model

from .errors import ArgumentError
from .plots import Figure
from .reports.html import write_report
from .reports.json import write_json
from .reports.report import ValidationReport
from .validation.measurements.experiment import LEVEL
from .validation.planner import Plan, plan
from .validator import validate

PATHS = 1000


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    given = [*(sys.argv[1:] if arguments is None else arguments)]
    options = _parser().parse_args(given)
    return command.run(lambda: _validate(options, "python -m numerics " + shlex.join(given)))


def _validate(options: argparse.Namespace, line: str) -> int:
    model = load_model(options.model)
    settings = _settings(model.run or RunSettings(), options)
    _check_outputs(options)
    limit = derive_limit(model.problem)
    print(limit, end="\n\n", flush=True)
    foreseen = _plan(limit, settings, options.budget)
    print(foreseen, end="\n\n", flush=True)
    settings["paths"] = foreseen.paths
    report = validate(limit, **settings, progress=sys.stderr.isatty())
    print(report)
    _write(report, options, line)
    return 0 if report.passed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m numerics", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("model", type=Path, help=MODEL_HELP)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="picture; MODEL.png if not given")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a page of HTML")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the same as JSON")
    run = parser.add_argument_group("run", "in place of what the model file says")
    run.add_argument("--start", type=_numbers, metavar="W,W,…", help="initial weights")
    run.add_argument("--alpha", type=_numbers, metavar="α[,α…]", help="step size, or several")
    run.add_argument("--sigma", type=_numbers, metavar="σ[,σ…]", help="noise scale, or several")
    run.add_argument("--time", type=float, metavar="T", help="end of the run in slow time")
    run.add_argument("--paths", type=int, metavar="N", help=f"number of paths, {PATHS} by default")
    run.add_argument("--seed", type=int, metavar="N", help="seed, 0 by default")
    run.add_argument(
        "--budget", type=_seconds, metavar="60s", help="time to spend; it chooses the paths"
    )
    run.add_argument(
        "--level", type=float, default=LEVEL, help="probability that a right limit fails"
    )
    return parser


def _numbers(text: str) -> list[float]:
    return [float(x) for x in text.split(",")]


def _seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def _settings(run: RunSettings, options: argparse.Namespace) -> dict[str, Any]:
    """What to run: the command line first, then the model file."""
    settings: dict[str, Any] = {"paths": PATHS, "seed": 0, "level": options.level}
    for name in ("start", "alpha", "sigma", "time", "paths", "seed"):
        given = getattr(options, name)
        value = getattr(run, name) if given is None else given
        if value is not None:
            settings[name] = value
        elif name not in settings:
            raise ArgumentError(
                f"{name}: the model file does not give it; add it under [run], or give --{name}"
            )
    return settings


def _plan(limit: Limit, settings: dict[str, Any], budget: float | None) -> Plan:
    """What the run will cost; for a ladder, that of its costliest step."""
    return plan(
        limit,
        settings["start"],
        alpha=float(np.min(settings["alpha"])),
        sigma=float(np.min(settings["sigma"])),
        time=settings["time"],
        paths=settings["paths"] if budget is None else None,
        budget=budget,
    )


def _picture(options: argparse.Namespace) -> tuple[Path, str]:
    """Where the picture goes, and its kind."""
    path = options.plot or Path(options.model.stem + ".png")
    return path, path.suffix.removeprefix(".") or "png"


def _check_outputs(options: argparse.Namespace) -> None:
    """Refuse now what could not be written after a long run."""
    picture, kind = _picture(options)
    kinds = Figure().canvas.get_supported_filetypes()
    if kind not in kinds:
        raise ArgumentError(
            f"plot: no pictures of the kind .{kind}; expected one of {', '.join(sorted(kinds))}"
        )
    for path in (picture, options.report, options.json):
        if path is not None:
            check_writable(path)


def _write(report: ValidationReport, options: argparse.Namespace, line: str) -> None:
    picture, kind = _picture(options)
    figure = report.plot()
    write_atomically(picture, lambda file: figure.savefig(file, format=kind, dpi=150))
    print(f"picture: {picture}")
    if options.report is not None:
        write_report(report, options.report, line)
        print(f"report: {options.report}")
    if options.json is not None:
        write_json(report, options.json, line)
        print(f"report for machines: {options.json}")


if __name__ == "__main__":
    sys.exit(main())
