"""Files: results, written whole or not at all, and arrays of numbers."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

Path = str | os.PathLike[str]


def check_writable(path: Path) -> None:
    """Raise the `OSError` that writing to `path` would meet, so that nothing is computed in vain."""
    if os.path.isdir(path):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if os.path.exists(path):
        place: Path = path
    else:
        place = os.path.dirname(os.path.realpath(path))
        if not os.path.isdir(place):
            raise OSError(errno.ENOENT, "there is no such directory", place)
    if not os.access(place, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))


def write_whole(contents: Mapping[Path, bytes]) -> None:
    """Write every file beside its place first and move them there last: at no time does a half-written one exist.

    A symbolic link is followed, the permissions of a file already there are kept, and what is not a regular file
    (a pipe, a terminal) is written to directly.
    """
    finished: list[tuple[str, str, Path]] = []
    try:
        for path, content in contents.items():
            with _naming(path):
                if _special(path):
                    with open(path, "wb") as stream:
                        stream.write(content)
                    continue
                target = os.path.realpath(path)
                # Not tempfile: its files are private, results get the permissions any new file has here.
                beside = f"{target}.{secrets.token_hex(4)}.part"
                descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
                finished.append((beside, target, path))
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                if os.path.exists(target):
                    os.chmod(beside, stat.S_IMODE(os.stat(target).st_mode))
        while finished:
            beside, target, path = finished[0]
            with _naming(path):
                os.replace(beside, target)
            finished.pop(0)
    finally:
        for beside, _, _ in finished:
            if os.path.exists(beside):
                os.unlink(beside)


def _special(path: Path) -> bool:
    """Whether `path` leads to something that is no regular file."""
    # Not through `realpath`: /dev/stdout leads to a pipe, which has no name of its own.
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors name the path that was asked for, not a file of ours."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from None


def read_numbers(path: Path) -> np.ndarray:
    """The array in a .npy file, or that of a text file with numbers, a row a line.

    Raises
    ------
    OSError : the file cannot be read, or is none: a device has no end.
    ValueError : it holds no numbers.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    with warnings.catch_warnings():
        # Numpy's own remarks on files without numbers.
        warnings.simplefilter("ignore")
        if os.fspath(path).endswith(".npy"):
            return np.asarray(np.load(path, allow_pickle=False))
        return np.loadtxt(path, ndmin=2)
