"""Types and shapes are checked at run time, as jaxtyping checks them, at a fraction of what its import hook costs.

The hook (`--jaxtyping-packages`) puts `jaxtyping.jaxtyped` on every function, which binds its arguments and has them
checked twice. Here a function that names no shape is checked by beartype alone, and one that does by beartype inside
the scope in which jaxtyping remembers the sizes of its axes. Its checks are compiled when it is first called, since
most functions that a process imports it never calls. What is checked is the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from functools import partial, wraps
from inspect import isclass, isgeneratorfunction
from typing import Any, ForwardRef, get_args

import jaxtyping
from beartype import BeartypeConf, beartype

HOOKED = jaxtyping.jaxtyped
SCOPE = jaxtyping.jaxtyped("context")
CHECKED = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))


def parts(annotation: object) -> Iterator[object]:
    """An annotation and all that stands in it."""
    yield annotation
    for part in get_args(annotation):
        yield from parts(part)


def sizes_of(annotation: object) -> str | None:
    """The axes of one of jaxtyping's annotations, as it writes them; None of any other."""
    ours = isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray)
    return annotation.dim_str if ours else None  # type: ignore[attr-defined]  # set on each such class


def checked(function: Callable[..., Any], scope: bool = False) -> Callable[..., Any]:
    """A function that beartype checks, in a scope of its own for sizes of axes if it names any."""
    made: Callable[..., Any] | None = None

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal made
        if made is None:
            made = CHECKED(function)
        if not scope:
            return made(*args, **kwargs)
        with SCOPE:
            return made(*args, **kwargs)

    return call


def jaxtyped(made: Any = None, *, typechecker: Callable[[Any], Any]) -> Any:
    """In the place of jaxtyping's decorator of that name, which the hook looks up in each module that it imports."""
    if made is None:
        return partial(jaxtyped, typechecker=typechecker)
    if isclass(made):
        if is_dataclass(made) and "__init__" in vars(made):
            made.__init__ = jaxtyped(made.__init__, typechecker=typechecker)
        return made
    named = [part for hint in made.__annotations__.values() for part in parts(hint)]
    quoted = any(isinstance(part, str | ForwardRef) for part in named)
    # As the hook does it: hints in quotes, of which beartype alone would have to find every name; generators, whose
    # hint is not of what they yield; networks, since torch.compile needs checks that can be turned off.
    if quoted or isgeneratorfunction(made) or made.__module__.startswith("lookharder.models"):
        return HOOKED(made, typechecker=checked)
    sizes = [found for part in named if (found := sizes_of(part)) is not None]
    if any("{" in each for each in sizes):  # "{steps}": the hook knows the arguments by name
        return HOOKED(checked(made), typechecker=None)
    return checked(made, scope=bool(sizes))


jaxtyping.jaxtyped = jaxtyped
