"""Files that are whole or absent, whatever happens to who writes them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from derive.files import atomic_write
from derive.files.atomic_write import check_writable, write_atomically


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("older")

    def fail(file) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, fail)
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_files_get_the_usual_permissions(tmp_path: Path) -> None:
    path = tmp_path / "file"
    before = os.umask(0o027)
    try:
        write_atomically(path, lambda file: file.write(b"new"))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o604)
    write_atomically(path, lambda file: file.write(b"newer"))
    assert path.stat().st_mode & 0o777 == 0o604


def test_the_content_reaches_the_disk_before_its_name(tmp_path: Path, monkeypatch) -> None:
    """Else a power cut may leave an empty file under the name of a whole one."""
    done, sync, replace = [], os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        done.append(("on disk", os.fstat(descriptor).st_size))
        sync(descriptor)

    def named(path: Path, target: Path) -> Path:
        done.append(("named", path.stat().st_size))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", named)
    write_atomically(tmp_path / "file", lambda file: file.write(b"content"))
    assert done == [("on disk", 7), ("named", 7)]


def test_a_disk_that_is_full_is_named_by_the_file(tmp_path: Path) -> None:
    def fail(file) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: .*name-of-file"):
        write_atomically(tmp_path / "name-of-file", fail)
    assert not list(tmp_path.iterdir())


def test_a_path_is_tried_before_the_work(tmp_path: Path, monkeypatch) -> None:
    check_writable(tmp_path / "file")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError, match=r"missing.file'$"):
        check_writable(tmp_path / "missing" / "file")
    with pytest.raises(IsADirectoryError, match=f"'{tmp_path}'$"):
        check_writable(tmp_path)

    def fail(path: Path, content: bytes) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match=r"No space left on device: .*file'$"):
        check_writable(tmp_path / "file")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_an_older_file_may_be_told_to_stay(links: bool, tmp_path: Path, monkeypatch) -> None:
    def refuse(self, target) -> None:
        raise OSError(errno.EPERM, "not supported")

    if not links:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = tmp_path / "file"
    write_atomically(path, lambda file: file.write(b"first"), exclusive=True)
    with pytest.raises(FileExistsError, match=f"'{path}'"):
        write_atomically(path, lambda file: file.write(b"second"), exclusive=True)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "first")]


KILLED = """
import os, signal, sys
from derive.files.atomic_write import check_writable, write_atomically
def write(file):
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
write_atomically(sys.argv[1], write)
"""


@pytest.mark.skipif(os.name != "posix", reason="processes of POSIX")
def test_what_a_killed_process_left_goes_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "results [1].npz"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode < 0
    (left,) = tmp_path.iterdir()
    assert left.suffix == ".part"
    name = f".{path.name}.{atomic_write.HOST}-{os.getpid()}-0123.part"
    others = {tmp_path / name, tmp_path / left.name.replace("[1]", "1")}
    others.add(tmp_path / left.name.replace(atomic_write.HOST, "elsewhere"))
    for other in others:
        other.touch()
    write_atomically(path, lambda file: file.write(b"whole"))
    assert set(tmp_path.iterdir()) == {path, *others}
