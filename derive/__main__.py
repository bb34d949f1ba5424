"""`python -m derive MODEL`: print the limiting equation of a model."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

from .errors import DeriveError
from .files import write_atomically
from .latex import document
from .limit import derive_limit
from .modelfile import load_model, starter


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m derive", description=__doc__)
    parser.add_argument("model", nargs="?", help="a .toml model, or a .py file defining `model`")
    parser.add_argument("--latex", metavar="FILE", help="write a LaTeX document, too")
    parser.add_argument("--new", metavar="NAME", help="write a commented starter model NAME.toml")
    options = parser.parse_args(arguments)
    if (options.model is None) == (options.new is None):
        parser.error("give a model file, or --new NAME")
    try:
        if options.new is not None:
            return _write_starter(options.new)
        return _derive(Path(options.model), options.latex)
    except (DeriveError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _derive(model: Path, latex: str | None) -> int:
    warnings.showwarning = _show_warning
    limit = derive_limit(load_model(model).problem)
    print(limit)
    if latex is not None:
        text = document(limit)
        write_atomically(latex, lambda file: file.write(text.encode("ascii")))
        print(f"LaTeX: {latex}")
    return 0


def _write_starter(name: str) -> int:
    path = Path(name).with_suffix(".toml")
    with path.open("x", encoding="utf-8") as file:  # never overwrite a model
        file.write(starter(path.stem))
    print(f"wrote {path}; now run: python -m derive {path}")
    return 0


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
