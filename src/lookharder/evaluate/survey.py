"""Which pictures of a set can be scored: asked before anything is predicted; the others are named and left out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields

import numpy as np

from lookharder.data.example import Dataset, Example
from lookharder.data.usable import unusable
from lookharder.errors import InputError
from lookharder.files import say_once
from lookharder.metrics.protocol import Protocol, Truth
from lookharder.metrics.scores import Score
from lookharder.predict.predictor import Prediction


class Survey:
    """A set, as far as it can be scored.

    Args:
        dataset: the pictures.
        score: of the task.
        rules: the protocol.
        tick: called after each picture that was looked at.

    Attributes:
        scored: indices of the pictures that can be scored, known when `truths` has come to its end.
        names: of these.
        sizes: (height, width) of these.
        left_out: name and reason of the others.
    """

    def __init__(
        self, dataset: Dataset, score: Score, rules: Protocol, tick: Callable[[], object]
    ) -> None:
        self.dataset, self.score, self.rules, self.tick = dataset, score, rules, tick
        self.scored: list[int] = []
        self.names: list[str] = []
        self.sizes: list[tuple[int, int]] = []
        self.left_out: dict[str, str] = {}

    def truths(self) -> Iterator[Truth]:
        """The truth of each picture that can be scored.

        Raises:
            InputError: two of one name, by which scores are compared and answers found.
        """
        named: set[str] = set()
        for index in range(len(self.dataset)):
            try:
                example = self.dataset[index]
                name, reason = example.name, self._fault(example)
            except InputError as error:  # a file that cannot be read
                name, got, allowed = error.args
                reason = f"got {got}, allowed: {allowed}"
            self.tick()
            if reason is None:
                if name in named:
                    allowed = "a name of its own for each"
                    raise InputError("--data", f"two examples named {name}", allowed)
                named.add(name)
                self.scored.append(index)
                self.names.append(name)
                self.sizes.append((example.image.shape[1], example.image.shape[2]))
                yield truth_of(example, self.score)
            else:
                self._leave_out(name, reason)

    def examples(self, places: Sequence[int] | None = None) -> Iterator[Example]:
        """The pictures that can be scored, or those at some places among them, read again."""
        indices = self.scored if places is None else [self.scored[place] for place in places]
        return (self.dataset[index] for index in indices)

    def attempt(
        self, predict: Callable[[Sequence[Example]], Prediction], group: Sequence[Example]
    ) -> Iterator[tuple[Sequence[Example], Prediction]]:
        """Predict a group; where what is given beside a picture cannot be used at the working size, one by one."""
        try:
            found = predict(group)
        except InputError as error:
            if error.argument != "mask":  # it is no fault of the picture's
                raise
            if len(group) == 1:
                self._leave_out(group[0].name, str(error))
                return
        else:
            yield group, found
            return
        for example in group:
            yield from self.attempt(predict, [example])

    def refusal(self, data: str) -> InputError:
        """What to raise where no picture can be scored."""
        reason = next(iter(self.left_out.values()), "it is empty")
        got = f"{data}, {len(self.dataset)} pictures of which none can be scored: {reason}"
        return InputError("--data", got, "at least one that can")

    def _fault(self, example: Example) -> str | None:
        reason = unusable(example, self.score.needs)
        if (
            reason is None
            and not self.score.judged(truth_of(example, self.score), self.rules).any()
        ):
            reason = f"no pixel that the protocol {self.rules.name} scores"
        return reason

    def _leave_out(self, name: str, reason: str) -> None:
        self.left_out[name] = reason
        say_once(name, f"left out: {reason}")


def truth_of(example: Example, score: Score) -> Truth:
    """The annotations of an example by name, all that it has.

    Raises:
        InputError: one is absent without which its task cannot be scored.
    """
    truth = {field.name: getattr(example, field.name) for field in fields(example)}
    truth = {name: value for name, value in truth.items() if isinstance(value, np.ndarray)}
    for name in score.needs:
        if name not in truth:
            raise InputError(
                f"--data ({example.name})", f"no `{name}`", f"a set that annotates `{name}`"
            )
    return truth
