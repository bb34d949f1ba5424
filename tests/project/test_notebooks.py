"""The tutorial notebooks run, and still print what is stored in them.

After a change of what is printed: `jupyter execute --inplace worked_examples/*.ipynb`.
"""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "worked_examples").glob("*.ipynb"))
TEXTS = ("text/plain", "text/latex", "text/html")
MATHML = re.compile(r"<math.*?</math>", re.DOTALL)
"""A second form of what stands in the LaTeX, in the words of the version that wrote it."""


def texts(cell: nbformat.NotebookNode) -> list[str]:
    """What a cell prints, which may arrive in pieces, and what it shows as text."""
    printed, shown = "", []
    for output in cell.outputs:
        assert output.output_type != "error"
        if output.get("name") == "stdout":
            printed += output.text
        shown += [output.get("data", {})[kind] for kind in TEXTS if kind in output.get("data", {})]
    return [printed, *(MATHML.sub("", text) for text in shown)]


def test_both_are_there() -> None:
    names = [path.stem for path in NOTEBOOKS]
    assert names == ["derive_your_own_noise_model", "read_a_validation_report"]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            path, marks=[] if path.stem == "read_a_validation_report" else pytest.mark.slow
        )
        for path in NOTEBOOKS
    ],
    ids=lambda path: path.stem,
)
def test_notebook_shows_what_it_did(path: Path) -> None:
    stored = nbformat.read(path, as_version=4)
    fresh = nbformat.from_dict(stored)
    where = {"metadata": {"path": str(ROOT)}}
    NotebookClient(fresh, timeout=120, kernel_name="python3", resources=where).execute()
    for old, new in zip(stored.cells, fresh.cells, strict=True):
        if old.cell_type != "code":
            continue
        assert len(new.outputs) >= len(old.outputs)
        # Simulated numbers may differ in their last digits from one processor to another.
        if "simulated" not in old.metadata.get("tags", ()):
            assert texts(new) == texts(old), old.source


def test_stored_notebooks_show_everything() -> None:
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        shown = [kind for c in cells for o in c.get("outputs", ()) for kind in o.get("data", {})]
        assert {"text/latex", "text/html", "image/png"} <= set(shown)
