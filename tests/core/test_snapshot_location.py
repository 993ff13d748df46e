"""The path of a snapshot: one informer uses it, and replaces only snapshots."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from kinform._errors import SnapshotError
from kinform._snapshot.location import SNAPSHOT_MAGIC, Location

OURS = SNAPSHOT_MAGIC + b"\2\0more"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def refusal(path: Path, **options: bool) -> str:
    """Returns why the path cannot be claimed."""
    with pytest.raises(SnapshotError) as caught:
        Location(str(path), **options).claim()
    assert caught.value.path == str(path)
    return caught.value.why


def write(location: Location, content: bytes = OURS) -> None:
    with location.folder() as folder:
        file, temporary = location.create_temporary(folder)
        with file:
            file.write(content)
        location.replace(folder, temporary)


def claim_and_write(location: Location) -> None:
    location.claim()
    write(location)


def names(path: Path) -> list[str]:
    return sorted(found.name for found in path.parent.iterdir())


def private(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_a_free_path_and_an_own_file_are_claimed(path: Path) -> None:
    for content in (OURS, OURS + b"2"):
        location = Location(str(path))
        location.claim()
        location.claim()
        assert names(path) == sorted([".s.lock", *(["s"] if path.exists() else [])])
        write(location, content)
        assert path.read_bytes() == content
        location.release()
        location.release()
        assert names(path) == ["s"]


def test_a_device_is_refused_without_opening_it(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda name, *rest, **more: opened.append(name) or real(name, *rest, **more))
    assert refusal(Path("/dev/null")) == "it is a device, not a regular file"
    assert opened == ["/dev"]


def test_a_socket_and_the_root_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        assert refusal(path) == "it is a socket, not a regular file"
    assert refusal(Path("/")) == "it is a folder, not a regular file"


@pytest.mark.parametrize("name", [".s.lock", ".s.00112233445566ff.tmp"])
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("elsewhere")])
def test_nothing_but_files_of_kinform_next_to_it_is_used(
    path: Path, name: str, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "urandom", lambda size: bytes.fromhex("00112233445566ff"))
    make(path.with_name(name))
    before = path.with_name(name).lstat()
    location = Location(str(path))
    with pytest.raises(SnapshotError, match=rf"{name} next to it is a .*, not a regular file"):
        claim_and_write(location)
    location.release()
    assert path.with_name(name).lstat() == before
    assert names(path) == [name]


def test_a_lock_file_with_contents_is_not_used(path: Path) -> None:
    private(path.with_name(".s.lock"), b"12345\n")
    assert refusal(path) == ".s.lock next to it is not a lock file of kinform"
    assert names(path) == [".s.lock"]


def test_a_file_put_there_before_the_rename_stays(path: Path) -> None:
    location = Location(str(path))
    with location.folder() as folder:
        file, temporary = location.create_temporary(folder)
        file.close()
        private(path, b"a letter")
        with pytest.raises(SnapshotError, match="not a snapshot of kinform"):
            location.replace(folder, temporary)
    assert path.read_bytes() == b"a letter"


def test_only_files_of_killed_writers_are_removed(path: Path) -> None:
    killed = [".s.0123456789abcdef.tmp", ".s.0000000000000000.tmp"]
    for name, content in zip(killed, (OURS, b""), strict=True):
        private(path.with_name(name), content)
    kept = [".other.0123456789abcdef.tmp", ".s.backup.tmp", ".s.1111111111111111.tmp", ".s.2222222222222222.tmp"]
    for name, content in zip(kept, (OURS, OURS, b"a letter", OURS), strict=True):
        private(path.with_name(name), content)
    path.with_name(kept[-1]).chmod(0o622)
    location = Location(str(path))
    location.claim()
    location.release()
    assert names(path) == sorted(kept)


def test_another_owner_is_refused_by_default(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private(path, OURS)
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert f"belongs to another user (uid {owner})" in refusal(path)
    assert "allow_insecure_permissions=True" in refusal(path)
    allowed = Location(str(path), allow_insecure_permissions=True)
    allowed.claim()
    write(allowed)
    allowed.release()


def test_another_claim_is_refused_until_the_release(path: Path) -> None:
    first = Location(str(path))
    first.claim()
    assert refusal(path).startswith("another informer uses it")
    first.release()
    second = Location(str(path))
    second.claim()
    first.release()
    assert refusal(path).startswith("another informer uses it")
    second.release()


def test_a_lock_that_was_removed_meanwhile_is_taken_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Location(str(path)), Location(str(path))
    first.claim()
    real = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        first.release()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    second.claim()
    monkeypatch.undo()
    assert refusal(path).startswith("another informer uses it")
    second.release()
    assert names(path) == []


def test_a_file_system_without_locks_is_used_without(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", missing)
    location = Location(str(path))
    location.claim()
    write(location)
    location.release()
    assert names(path) == ["s"]


def test_a_forked_child_does_not_release_its_parents_claim(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location, own = Location(str(path)), os.getpid()
    location.claim()
    other = Location(str(path))
    other._lock = (os.dup(location._lock[0]), own)
    monkeypatch.setattr(os, "getpid", lambda: own + 1)
    with pytest.raises(SnapshotError, match="another informer uses it"):
        other.claim()
    other.release()
    assert names(path) == [".s.lock"]
    monkeypatch.undo()
    assert refusal(path).startswith("another informer uses it")
    location.release()


def test_a_relative_path_stays_where_it_was_made(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    location = Location("s")
    monkeypatch.chdir("/")
    write(location)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
