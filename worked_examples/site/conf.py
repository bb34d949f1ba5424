"""The site: `sphinx-build -W worked_examples/site build/site` runs the examples and writes it.

The gallery is made of copies of the examples beside this folder, whose docstrings become its text;
the reference is made of the docstrings of the packages by pdoc, when all else is written.
"""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx_gallery.scrapers import figure_rst

HERE = Path(__file__).parent
EXAMPLES = HERE.parent
COPIES = HERE / "copies"
PARTS = HERE / "parts" / EXAMPLES.name
SHARED = {"pictures.py", "two_layer.py"}
"""What the examples import; they are no examples."""

project = "singular-limit"
copyright = "the authors of singular-limit"
extensions = ["myst_nb", "sphinx_gallery.gen_gallery"]
exclude_patterns = ["copies", "parts", "gallery/*.ipynb"]
suppress_warnings = ["config.cache"]  # the scraper of pictures is a function
highlight_language = "none"  # of what does not say its own
html_math_renderer = "mathml"
html_theme = "furo"
html_title = "singular-limit"
html_show_sourcelink = False
myst_enable_extensions = ["dollarmath", "amsmath"]
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_output_stderr = "remove"


def written_pictures(block: Any, variables: dict[str, Any], configuration: dict[str, Any]) -> str:
    """Show what an example has written to `output/` since the last one."""
    shown = []
    for path in sorted((PARTS / "output").glob("*.png")):
        place = Path(variables["image_path_iterator"].next())
        shutil.move(path, place)
        shown.append(str(place))
    return figure_rst(shown, configuration["src_dir"])


def copy_examples() -> None:
    """Copy the examples and what they share, with docstrings that the gallery can read."""
    for folder in (COPIES, PARTS):
        folder.mkdir(parents=True, exist_ok=True)
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name in SHARED:
            (PARTS / path.name).write_text(text, encoding="utf-8")
        else:
            (COPIES / path.name).write_text(with_markup(text), encoding="utf-8")
    title = "Worked examples\n===============\n\nEach is a script that prints its figures.\n"
    (COPIES / "GALLERY_HEADER.rst").write_text(title, encoding="utf-8")
    models = HERE / "how_to" / EXAMPLES.name  # which the notebooks name as from the repository
    models.mkdir(exist_ok=True)
    for folder, pattern in ((models.parent, "*.ipynb"), (models, "*.toml")):
        for path in EXAMPLES.glob(pattern):
            shutil.copy(path, folder)
    sys.path.insert(0, str(PARTS))


def with_markup(text: str) -> str:
    """A script with its docstring in reStructuredText: the first sentence is the title."""
    statement = ast.parse(text).body[0]
    assert isinstance(statement, ast.Expr), "an example begins with a docstring"
    first, *paragraphs = ast.literal_eval(statement.value).strip().split("\n\n")
    title = escaped(" ".join(first.split()).rstrip("."))
    parts = [title, "=" * 2 * len(title)]
    for paragraph in paragraphs:
        lines = paragraph.strip("\n").splitlines()
        literal = all(line.startswith("    ") for line in lines)
        parts.append("::\n\n" + "\n".join(lines) if literal else escaped(paragraph))
    rest = text.splitlines(keepends=True)[statement.end_lineno :]
    return "".join(['r"""', "\n\n".join(parts).replace("\n\n=", "\n="), '\n"""\n', *rest])


def escaped(text: str) -> str:
    """Plain text, in which only `code` is marked."""
    pieces = re.split(r"(`+[^`]+`+)", text)
    code = [f"``{piece.strip('`')}``" for piece in pieces[1::2]]
    plain = [re.sub(r"([|*_])", r"\\\1", piece) for piece in pieces[::2]]
    return "".join(x for pair in zip(plain, [*code, ""], strict=True) for x in pair)


def write_reference(app: Any, failure: Exception | None) -> None:
    """The reference of the packages, into the folder `reference` of the site."""
    if failure is None and app.builder.name == "html":
        place = str(Path(app.outdir) / "reference")
        command = [sys.executable, "-W", "error", "-m", "pdoc", "-d", "numpy", "-o", place]
        subprocess.run([*command, "derive", "numerics"], check=True)


def arguments(configuration: dict[str, Any], variables: dict[str, Any]) -> list[str]:
    """The longest example is run for a few of its sizes; all others as they are."""
    few = Path(variables["src_file"]).stem == "finite_samples_on_digits"
    return ["16", "32", "128"] if few else []


sphinx_gallery_conf = {
    "reset_argv": arguments,
    "examples_dirs": "copies",
    "gallery_dirs": "gallery",
    "filename_pattern": "/copies/",
    "image_scrapers": (written_pictures,),
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "remove_config_comments": True,
}


def write_formula(translator: Any, node: nodes.Element) -> None:
    """A formula as MathML, which browsers show without any script from elsewhere."""
    block = isinstance(node, nodes.math_block)
    formula = convert(node.astext(), display="block" if block else "inline")
    scrolling = f'<div style="overflow: auto hidden">{formula}</div>'
    translator.body.append(scrolling if block else formula)
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Copy the examples before the gallery looks for them."""
    copy_examples()
    app.add_html_math_renderer("mathml", (write_formula, None), (write_formula, None))
    app.connect("build-finished", write_reference)
