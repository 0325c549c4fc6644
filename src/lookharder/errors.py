"""The one error that a user's bad input may cause: `lookharder` prints its line and exits with code 2."""

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
