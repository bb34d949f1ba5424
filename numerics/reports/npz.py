"""Validation reports in files: one `.npz` with the arrays, and the rest as JSON under `document`.

The JSON is written as `derive.files.codec` says; an array stands there as {"array": name}, and
the limit, which every comparison names, once as a document of `derive.files.limit_file`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derive import Limit
from derive.errors import SavedFileError
from derive.files import limit_file
from derive.files.codec import Decoder, Encoder, Types

from ..formats.archive import read_archive, write_archive
from ..simulation.paths import Paths
from ..validation.checks import Check
from ..validation.measurements.bursts import FastPhase, Scaling
from ..validation.measurements.comparison import Comparison
from ..validation.measurements.statistics import Estimate, PowerLaw

FORMAT = "singular-limit validation report"
VERSION = 1

TYPES: Types = {
    kind.__name__: kind
    for kind in (Check, Comparison, Estimate, FastPhase, Paths, PowerLaw, Scaling)
}


def save_parts(path: str | PathLike[str], limit: Limit, parts: Mapping[str, Any]) -> None:
    """Write the limit that was validated, and what else a report is made of."""
    encoder = _ReportEncoder()
    document = {
        "limit": limit_file.to_json(limit),
        "content": {name: encoder.encode(part) for name, part in parts.items()},
    }
    text = json.dumps(document, ensure_ascii=False)
    write_archive(path, FORMAT, VERSION, {"document": text, **encoder.arrays})


def load_parts(path: str | PathLike[str]) -> tuple[Limit, dict[str, Any]]:
    """Read what `save_parts` wrote.

    Raises
    ------
    SavedFileError
        If the file is truncated, of another kind, or of a newer version.
    """
    arrays = read_archive(path, FORMAT, VERSION, {"document"}, "ValidationReport.save")
    try:
        document = json.loads(str(arrays["document"]))
        limit = Limit.restored(limit_file.from_json(document["limit"]))
        decoder = _ReportDecoder(limit, arrays)
        return limit, {name: decoder.decode(x) for name, x in document["content"].items()}
    except limit_file.MALFORMED as error:
        raise SavedFileError(
            f"{path}: a damaged validation report: {type(error).__name__}: {error}"
        ) from error


class _ReportEncoder(Encoder):
    """Leaves arrays to be written beside the JSON."""

    def __init__(self) -> None:
        super().__init__(TYPES)
        self.arrays: dict[str, NDArray[Any]] = {}

    def known(self, value: Any) -> Any:
        if isinstance(value, Limit):
            return {"Limit": None}
        if isinstance(value, np.generic):
            return value.item()
        if not isinstance(value, np.ndarray):
            return super().known(value)
        name = f"array_{len(self.arrays)}"
        # The only arrays of objects are those of the status of paths, which are small integers.
        self.arrays[name] = value.astype(np.int8) if value.dtype == object else value
        return {"array": name}


class _ReportDecoder(Decoder):
    """Takes arrays from beside the JSON."""

    def __init__(self, limit: Limit, arrays: Mapping[str, NDArray[Any]]) -> None:
        super().__init__(TYPES, ())
        self._limit = limit
        self._arrays = arrays

    def known(self, kind: str, content: Any) -> Any:
        if kind == "Limit":
            return self._limit
        return self._arrays[content] if kind == "array" else super().known(kind, content)
