"""Files are written whole or not at all: write aside, fsync, rename, fsync the folder. Only regular files are read."""

import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import Any

from lookharder.errors import InputError, printable

log = logging.getLogger(__name__)

LITTER = {"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin"}
ROLES = "vis|input|second|whole|cutout|beside|uncertainty|members"  # of a result, see `predict.files.outputs`
ASIDE = re.compile(r"\.(.+)\.[0-9a-f]{8}(\.[^.]*)?")  # as `atomic` names what it writes
RESULT = re.compile(rf".+\.(depth|flow|amodal)(\.({ROLES}))*\.[a-z0-9]+")
MAX_TEXT = 2**28  # bytes of a file of text
TAKEN = "which another process is writing"


@contextmanager
def opened(path: str | Path) -> Iterator[BufferedReader]:
    """The file, open for reading; InputError if missing, forbidden, a folder, pipe or device."""
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        raise InputError(str(path), "no such file", "an existing file") from None
    except (OSError, ValueError) as error:  # a name too long, a NUL in it, a file as a folder
        raise InputError(repr(str(path))[:200], error, "a file name") from error
    if not stat.S_ISREG(mode):
        found = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
        raise InputError(str(path), found, "a regular file")
    if not os.access(path, os.R_OK):
        raise InputError(str(path), "a file that may not be read", "a readable file")
    with Path(path).open("rb") as handle:
        yield handle


def listed(folder: Path) -> list[Path]:
    """The entries of a folder by name, without what systems and editors leave there.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(str(folder), "no such folder", "a folder")
    return sorted(path for path in folder.iterdir() if not is_litter(path.name))


def trace_of(path: str | Path | None, files: Sequence[Path] | None = None) -> str:
    """SHA-256 of the names, sizes and times of change of a file, or of all in a folder but litter, or of some there.

    Who keeps what was made of files keeps this beside it: where they change, it does. "" where there is nothing.
    """
    root = None if path is None else Path(path)
    if root is None or not root.exists():
        return ""
    if files is None:
        found = [each for each in root.rglob("*") if each.is_file()] if root.is_dir() else [root]
        files = sorted(f for f in found if not any(map(is_litter, f.relative_to(root).parts)))
    facts = [(str(each.relative_to(root)), each.stat()) for each in files]
    text = json.dumps([(name, found.st_size, found.st_mtime_ns) for name, found in facts])
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def make_folder(out: Path, argument: str = "--out") -> list[Path]:
    """Make the folder of results, or say why it cannot be; those that are new, the innermost first.

    Raises:
        InputError: it cannot be a folder, or cannot be written.
    """
    try:
        new = [path for path in (out, *out.parents) if not path.exists()]
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(argument, f"{out} ({error.strerror})", "a folder, new or not") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise InputError(argument, f"{out}, which cannot be written", "a folder that can be")
    return new


def make_inside(root: Path, *names: str) -> Path:
    """Make ROOT/NAME/... where it is missing, but never `root`, which may have been moved away; returns it.

    Raises:
        FileNotFoundError: there is no `root`.
    """
    for name in names:
        root = root / name
        root.mkdir(exist_ok=True)
    return root


@contextmanager
def locked(folder: Path, taken: str, shared: bool = False) -> Iterator[int]:
    """Lock a folder of results and yield it, open; the lock ends with the process, however that ends.

    Args:
        folder: which exists.
        taken: what is said of the folder where another process holds it.
        shared: with others that say so.

    Raises:
        InputError: another process holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            got = f"{folder}, {taken}"
            raise InputError("--out", got, "a folder of its own, or patience") from error
        yield handle
    finally:
        os.close(handle)


@contextmanager
def hold_folder(out: Path, shared: bool = False) -> Iterator[int]:
    """Make the folder of results if there is none, and lock it; yields the open folder. What stays empty goes again.

    Args:
        out: the folder.
        shared: as of `locked`.

    Raises:
        InputError: it cannot be a folder, cannot be written, or another process writes it.
    """
    made = make_folder(out)
    try:
        with locked(out, TAKEN, shared) as handle:
            yield handle
    finally:
        with suppress(OSError):  # not empty, or gone
            for folder in made:
                folder.rmdir()


def check_held(folder: Path, handle: int) -> None:
    """Make sure that the folder of this path is still the one that is open.

    Raises:
        FileNotFoundError: it has vanished, or another is in its place.
    """
    held = os.fstat(handle)
    with suppress(FileNotFoundError):
        found = folder.stat()
        if (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino):
            return
    raise FileNotFoundError(errno.ENOENT, "the folder of results has vanished", str(folder))


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a hidden folder inside `out`; on success all that it holds moves up into `out`, on failure none does.

    Raises:
        InputError: `out` cannot be held, or holds something by then.
    """
    aside = out / ".unfinished"
    with hold_folder(out) as handle:
        check_new(out)
        try:
            shutil.rmtree(aside, ignore_errors=True)  # of a process that was killed
            aside.mkdir()
            yield aside
            check_held(out, handle)  # or a writer would have made it again, for the rest alone
            for path in sorted(aside.iterdir()):
                path.rename(out / path.name)
            os.fsync(handle)
            check_held(out, handle)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def check_new(out: Path) -> None:
    """Refuse a folder that holds something, litter aside.

    Raises:
        InputError: it does, or is no folder.
    """
    if out.exists() and (not out.is_dir() or any(listed(out))):
        raise InputError("--out", f"{out}, which holds something", "a new or empty folder")


def is_litter(name: str) -> bool:
    """Whether a name is no user's: hidden (`._x`, `.ipynb_checkpoints`), or left by archives and shares."""
    return name.startswith(".") or name.casefold() in LITTER


def is_result(name: str) -> bool:
    """Whether a name is one that `lookharder predict` gives to its results: NAME.depth.vis.png and the like."""
    return RESULT.fullmatch(name) is not None


@lru_cache(maxsize=4096)
def say_once(name: str, message: str) -> None:
    """Tell on standard error what was taken for granted or left out, once in a process."""
    log.warning("%s", printable(f"{name}: {message}"))


def say_left_out(folder: Path, names: Sequence[str], allowed: str) -> None:
    """Tell which files of a folder are not used, the first by name; nothing if there are none."""
    if names:
        shown = ", ".join(sorted(names)[:4]) + (", ..." if len(names) > 4 else "")
        say_once(str(folder), f"{len(names)} left out: {shown}; used: {allowed}")


def file_size(handle: BufferedReader) -> int:
    """Bytes of an open file."""
    return os.fstat(handle.fileno()).st_size


def read_text(path: str | Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark; line ends as they are.

    Raises:
        InputError: no such file, more than `MAX_TEXT` bytes, or no UTF-8.
    """
    with opened(path) as handle:
        data = handle.read(MAX_TEXT + 1)
    if len(data) > MAX_TEXT:
        raise InputError(str(path), f"more than {MAX_TEXT:,} bytes", "a smaller file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(str(path), error, "UTF-8 text") from error


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on failure it is removed.

    The temporary name keeps the suffix, because image writers choose the format by it. The folder must exist: one that
    is moved away under a writer would be made again for the rest alone.
    """
    path = Path(path)
    aside = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        aside.touch()
        mode = aside.stat().st_mode  # as the umask grants; some writers keep it to the owner
        yield aside
        aside.chmod(mode)
        with aside.open("rb") as handle:
            os.fsync(handle.fileno())
        aside.replace(path)
        sync_folder(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def unfinished(folder: Path) -> Iterator[tuple[Path, str]]:
    """What writers in `atomic` that were killed left in a folder, and the names that it would have had."""
    for path in folder.glob(".*"):
        if (match := ASIDE.fullmatch(path.name)) is not None:
            yield path, match[1] + (match[2] or "")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically, indented, keys in the order given, NaN refused, texts as of `as_utf8`."""
    text = json.dumps(as_utf8(value), indent=2, allow_nan=False) + "\n"
    with atomic(path) as aside:
        aside.write_text(text, encoding="utf-8")


def as_utf8(value: Any) -> Any:
    r"""A JSON value whose texts UTF-8 can hold: names of files by their bytes, whatever the locale made of them.

    Bytes that are no UTF-8 become escapes: a name in Latin-1 is "caf\xe9".
    """
    if isinstance(value, str):
        return value.encode(errors="surrogateescape").decode(errors="backslashreplace")
    if isinstance(value, dict):
        return {as_utf8(key): as_utf8(item) for key, item in value.items()}
    return [as_utf8(item) for item in value] if isinstance(value, list | tuple) else value


def as_named_here(text: str) -> str:
    """Names in UTF-8 as this process has them in its locale, so that their files are found: `as_utf8`, undone."""
    return os.fsdecode(text.encode(errors="surrogateescape"))
