"""`python -m derive MODEL`: print the limiting equation of a model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import command
from .documents.document import PARTS, document
from .files.atomic_write import check_writable, write_atomically
from .files.models.model_file import describe_schema, load_model, starter
from .general.table import FORMATS, table
from .limit import derive_limit

MODEL_HELP = "a .toml model, which is only read, or a .py file defining `model`, which is executed"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, 2 for bad input, 130 if it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m derive", description=__doc__)
    parser.add_argument("model", nargs="?", help=MODEL_HELP)
    parser.add_argument("--latex", metavar="FILE", help="write a LaTeX document, too")
    parser.add_argument("--part", choices=PARTS, help="write that fragment of it alone")
    parser.add_argument("--new", metavar="NAME", help="write a commented starter model NAME.toml")
    parser.add_argument(
        "--table",
        choices=tuple(FORMATS),
        help="the general table: every mechanism, for any loss, under each optimizer",
    )
    parser.add_argument("--schema", action="store_true", help="list the keys of a model file")
    options = parser.parse_args(arguments)
    asked = (options.model is not None, options.new is not None, options.table, options.schema)
    if sum(map(bool, asked)) != 1:
        parser.error("give a model file, or --new NAME, or --table FORM, or --schema")
    if options.table is not None:
        print(table(options.table))
        return 0
    if options.schema:
        print(describe_schema())
        return 0
    if options.new is not None:
        return command.run(lambda: _write_starter(options.new))
    if options.part is not None and options.latex is None:
        parser.error("--part: give the file to write it to by --latex FILE")
    return command.run(lambda: _derive(Path(options.model), options.latex, options.part))


def _derive(model: Path, latex: str | None, part: str | None) -> int:
    if latex is not None:
        check_writable(latex)
    limit = derive_limit(load_model(model).problem)
    print(limit)
    if latex is not None:
        text = document(limit, part=part)
        write_atomically(latex, lambda file: file.write(text.encode("ascii")))
        print(f"LaTeX: {latex}")
    return 0


def _write_starter(name: str) -> int:
    path = Path(name if name.endswith(".toml") else name + ".toml")
    text = starter(path.stem.removesuffix(".toml"))
    write_atomically(path, lambda file: file.write(text.encode()), exclusive=True)
    print(f"wrote {path}; now run: python -m derive {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
