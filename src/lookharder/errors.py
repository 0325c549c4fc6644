"""The one error that a user's bad input may cause: `lookharder` prints its line and exits with code 2."""


class InputError(ValueError):
    """Bad input from a user: the message names the argument, what came and what is allowed."""

    def __init__(self, argument: str, got: object, allowed: str) -> None:
        super().__init__(f"{argument}: got {got}, allowed: {allowed}")
        self.argument = argument
