"""Types and shapes are checked at run time, as jaxtyping checks them, at a fraction of what its import hook costs.

The hook (`--jaxtyping-packages`) puts `jaxtyping.jaxtyped` on every function, which binds its arguments and has them
checked twice. Here a function that names no shape is checked by beartype alone, and one that does by beartype inside
the scope in which jaxtyping remembers the sizes of its axes. What is checked is the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from functools import partial
from inspect import isclass, isgeneratorfunction
from typing import Any, ForwardRef, get_args

import jaxtyping
from beartype import BeartypeConf, beartype

SCOPED = jaxtyping.jaxtyped
CHECKED = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))


def parts(annotation: object) -> Iterator[object]:
    """An annotation and all that stands in it."""
    yield annotation
    for part in get_args(annotation):
        yield from parts(part)


def is_shape(annotation: object) -> bool:
    """Whether it is one of jaxtyping's."""
    return isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray)


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
        return SCOPED(made, typechecker=typechecker)
    checked = CHECKED(made)
    return SCOPED(checked, typechecker=None) if any(map(is_shape, named)) else checked


jaxtyping.jaxtyped = jaxtyped
