"""The path of a snapshot: what kinform may replace there, and who uses it.

Replaces and removes only files that kinform has written. Never follows a symbolic link in place of a file, never opens
a device, and never waits for a FIFO. Runs in a thread.
Source: the checks of OpenSSH for its key files; the lock files of flock(1).
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from kinform._errors import SnapshotError

SNAPSHOT_MAGIC = b"kinform\x00"

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_PERMISSIONS_OPTION = "Snapshot(allow_insecure_permissions=True) accepts it"


class Location:
    """The path of a snapshot.

    The methods that take a folder take the descriptor that `folder` yields, so that all of them use the same folder.

    Args:
        path: Path of the file. A relative path is resolved now.
        allow_insecure_permissions: Accept files of another user, and files and folders that others can write to.

    Attributes:
        path: The path as it was passed, for messages.
    """

    def __init__(self, path: str, *, allow_insecure_permissions: bool = False) -> None:
        self.path = path
        self._allow_insecure_permissions = allow_insecure_permissions
        self._folder, name = os.path.split(os.path.abspath(path))
        self._name = name or "."  # of the root
        self._lock: tuple[int, int] | None = None  # descriptor, and the process that locked it

    # Use by one informer

    def claim(self) -> None:
        """Locks the path against other informers.

        Also removes the temporary files of killed writers. Does nothing if this process has claimed the path already.
        On a file system without locks, other informers are not noticed.

        Raises:
            SnapshotError: There is no such folder, there is a file that kinform must not replace, or another informer
                uses the path.
            OSError: The path cannot be examined, or the lock cannot be created.
        """
        if self._lock is not None and self._lock[1] == os.getpid():
            return
        try:
            with self.folder() as folder:
                self._check_replaceable(folder)
                self._lock = self._acquire(folder), os.getpid()
                self._remove_leftovers(folder)
        except (FileNotFoundError, NotADirectoryError):
            raise self.error(f"its folder {self._folder} does not exist") from None

    def release(self) -> None:
        """Releases the path, if it is claimed."""
        if self._lock is None:
            return
        (descriptor, process), self._lock = self._lock, None
        if process == os.getpid():  # a child after a fork shares the lock of its parent
            with suppress(OSError), self.folder() as folder:
                if self._is_current(folder, descriptor):
                    os.unlink(self._lock_name, dir_fd=folder)
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)

    @property
    def _lock_name(self) -> str:
        return f".{self._name}.lock"

    def _acquire(self, folder: int) -> int:
        while True:
            descriptor = self._open(folder, self._lock_name, os.O_RDWR | os.O_CREAT)
            try:
                if os.fstat(descriptor).st_size:
                    raise self.error(f"{self._lock_name} next to it is not a lock file of kinform")
                self._flock(descriptor)
                if self._is_current(folder, descriptor):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # its owner released it and removed it in the meantime

    def _flock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self.error("another informer uses it; each informer needs a path of its own") from None
        except OSError:  # some file systems have no locks
            pass

    def _is_current(self, folder: int, descriptor: int) -> bool:
        try:
            current = os.stat(self._lock_name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(current, os.fstat(descriptor))

    # Files

    @contextmanager
    def folder(self) -> Iterator[int]:
        """Opens the folder, and yields its descriptor.

        Raises:
            SnapshotError: The folder belongs to another user, or others can write to it.
            OSError: It cannot be opened.
        """
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._check_permissions(os.fstat(descriptor), f"its folder {self._folder}", {0, os.geteuid()})
            yield descriptor
        finally:
            os.close(descriptor)

    def open(self, folder: int) -> BinaryIO:
        """Opens the snapshot.

        Raises:
            FileNotFoundError: The path is free.
            SnapshotError: There is something else at the path, or its permissions are not accepted.
            OSError: It cannot be opened or read.
        """
        file = open(self._open(folder, self._name, os.O_RDONLY), "rb", buffering=0)  # noqa: SIM115
        try:
            if os.pread(file.fileno(), len(SNAPSHOT_MAGIC), 0) != SNAPSHOT_MAGIC:
                raise self.error("not a snapshot of kinform, which never replaces another file; use another path")
            self._check_permissions(os.fstat(file.fileno()), "it", {os.geteuid()})
        except BaseException:
            file.close()
            raise
        return file

    def create_temporary(self, folder: int) -> tuple[BinaryIO, str]:
        """Creates a temporary file for its owner only; returns file and name."""
        name = f".{self._name}.{os.urandom(8).hex()}.tmp"
        return open(self._open(folder, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb", buffering=0), name

    def replace(self, folder: int, temporary: str) -> None:
        """Renames a temporary file to the path.

        Raises:
            SnapshotError: There is a file that kinform must not replace.
            OSError: It cannot be renamed.
        """
        self._check_replaceable(folder)
        os.replace(temporary, self._name, src_dir_fd=folder, dst_dir_fd=folder)

    def error(self, why: str) -> SnapshotError:
        """Returns an error that names the path."""
        return SnapshotError(self.path, why)

    def _check_replaceable(self, folder: int) -> None:
        with suppress(FileNotFoundError):
            self.open(folder).close()

    def _remove_leftovers(self, folder: int) -> None:
        leftover = re.compile(rf"\.{re.escape(self._name)}\.[0-9a-f]{{16}}\.tmp")
        for name in filter(leftover.fullmatch, os.listdir(folder)):
            with suppress(OSError, SnapshotError):
                with open(self._open(folder, name, os.O_RDONLY), "rb", buffering=0) as file:
                    self._check_permissions(os.fstat(file.fileno()), "it", {os.geteuid()})
                    start = file.read(len(SNAPSHOT_MAGIC)) or b""
                if SNAPSHOT_MAGIC.startswith(start):  # the writer may have been killed before the first byte
                    os.unlink(name, dir_fd=folder)

    def _open(self, folder: int, name: str, flags: int) -> int:
        """Opens a regular file, and nothing else."""
        with suppress(FileNotFoundError):  # to open a device can have effects
            self._check_regular(os.stat(name, dir_fd=folder, follow_symlinks=False), name)
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=folder)
        try:
            self._check_regular(os.fstat(descriptor), name)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _check_regular(self, status: os.stat_result, name: str) -> None:
        if not stat.S_ISREG(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a special file")
            subject = "it" if name == self._name else f"{name} next to it"
            raise self.error(f"{subject} is {kind}, not a regular file")

    def _check_permissions(self, status: os.stat_result, subject: str, owners: set[int]) -> None:
        if self._allow_insecure_permissions:
            return
        if status.st_uid not in owners:
            raise self.error(f"{subject} belongs to another user (uid {status.st_uid}); {_PERMISSIONS_OPTION}")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
            raise self.error(f"others can write to {subject} ({mode}): remove that permission; {_PERMISSIONS_OPTION}")
