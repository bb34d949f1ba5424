"""Certificates in files, for `derive.certify` to check."""

from __future__ import annotations

import json
from os import PathLike

from ..proofs.findings import Certificate
from .atomic_write import write_atomically


def save(certificate: Certificate, path: str | PathLike[str]) -> None:
    """Write a certificate as JSON, whole or not at all."""
    text = json.dumps(certificate.document, ensure_ascii=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))
