"""Result files, written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Mapping

Path = str | os.PathLike[str]


def check_writable(path: Path) -> None:
    """Raise the `OSError` that writing to `path` would meet, so that nothing is computed in vain."""
    target = os.path.realpath(path)
    if os.path.isdir(target):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise OSError(errno.ENOENT, "there is no such directory", folder)
    if not os.access(target if os.path.exists(target) else folder, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))


def write_whole(contents: Mapping[Path, bytes]) -> None:
    """Write every file beside its place first and move them there last: at no time does a half-written one exist.

    A symbolic link is followed, the permissions of a file already there are kept, and what is not a regular file
    (a pipe, a terminal) is written to directly.
    """
    finished: list[tuple[str, str]] = []
    try:
        for path, content in contents.items():
            target = os.path.realpath(path)
            if os.path.exists(target) and not os.path.isfile(target):
                try:
                    with open(target, "wb") as stream:
                        stream.write(content)
                except OSError as error:
                    raise OSError(error.errno, error.strerror, os.fspath(path)) from None
                continue
            # Not tempfile: its files are private, results get the permissions any new file has here.
            beside = f"{target}.{secrets.token_hex(4)}.part"
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            finished.append((beside, target))
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if os.path.exists(target):
                os.chmod(beside, stat.S_IMODE(os.stat(target).st_mode))
        while finished:
            beside, target = finished[0]
            os.replace(beside, target)
            finished.pop(0)
    finally:
        for beside, _ in finished:
            if os.path.exists(beside):
                os.unlink(beside)
