"""The one error that a user's bad input may cause, and those that are a machine's fault.

For the former `lookharder` prints its line and exits with code 2.
"""

import errno
import unicodedata


def printable(text: object) -> str:
    """Text from a file, a name or a caller as one line that a terminal only shows: no control, no half of a pair.

    Control characters (ESC, newlines), marks that turn the direction of text, and what UTF-8 cannot hold are written as
    their escapes.
    """
    return "".join(
        c if unicodedata.category(c) not in HIDDEN else c.encode("unicode_escape").decode()
        for c in str(text)
    )


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 step", "3 steps"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # categories of Unicode


class InputError(ValueError):
    """Bad input from a user: the message names the argument, what came and what is allowed."""

    def __init__(self, argument: str, got: object, allowed: str) -> None:
        super().__init__(
            argument, str(got), allowed
        )  # all of it, so that it survives a pickle between processes

    @property
    def argument(self) -> str:
        """What was wrong: the name of an argument, a file or a key."""
        return str(self.args[0])

    def __str__(self) -> str:
        return printable("{}: got {}, allowed: {}".format(*self.args))


MACHINE = {  # what goes wrong with a machine, not with a file's bytes or a job
    errno.EIO,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENODEV,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
}
OUT_OF_MEMORY = (  # in the words of torch, OpenCV, C++ and the linker, which have no MemoryError
    *("can't allocate memory", "cannot allocate memory", "failed to map segment"),
    *("out of memory", "not enough memory", "insufficient memory", "bad_alloc"),
)


def fault_of_machine(error: Exception) -> int | None:
    """The `errno` of an error that is the machine's fault: memory, disk, descriptors; None for another."""
    if isinstance(error, OSError):
        return error.errno if error.errno in MACHINE else None
    theirs = isinstance(error, RuntimeError | ImportError) or type(error).__module__ == "cv2"
    short = theirs and any(each in str(error).lower() for each in OUT_OF_MEMORY)
    return errno.ENOMEM if short or isinstance(error, MemoryError) else None
