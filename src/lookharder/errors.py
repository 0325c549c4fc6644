"""The one error that a user's bad input may cause: `lookharder` prints its line and exits with code 2."""


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
        return "{}: got {}, allowed: {}".format(*self.args)
