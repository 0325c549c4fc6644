"""Configurations are frozen dataclasses; here they become JSON, come back strictly, and take `a.b=c` overrides.

    from_json(C, to_json(c)) == c        for every configuration c of type C

Coming back is strict: an unknown key, a missing key or a value of the wrong type is an error that names the path.
A union of dataclasses is told apart by its `name` field, a Literal in each; so is
`Annotated[Base, ByName(table)]`, whose table has a class for each name.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union

from lookharder.errors import InputError
from lookharder.jsons import parse_json, read_json

C = TypeVar("C")
MAX_FLOAT = 10**300  # integers beyond have no float


@dataclasses.dataclass(frozen=True, eq=False)
class ByName:
    """Marks a field whose value is of one of several classes, in `Annotated[Base, ByName(table)]`.

    Attributes:
        table: name -> class, looked into when a value is read.
    """

    table: Mapping[str, type]


def to_json(value: Any) -> Any:
    """A configuration as plain JSON values: dataclass -> dict, tuple -> list."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def from_json(cls: type[C], value: Any, path: str = "config") -> C:
    """Rebuild a configuration of type `cls` from JSON values.

    Raises:
        InputError: naming the dotted path of what is unknown, missing or of the wrong type.
    """
    made: C = _convert(cls, value, path)
    return made


def read_as(cls: type[C], path: str | Path) -> C:
    """The configuration of type `cls` in a file.

    Raises:
        InputError: naming the file, and what in it is unknown, missing or of the wrong type.
    """
    return from_json(cls, read_json(path), str(path))


def override(config: C, assignments: Sequence[str]) -> C:
    """A copy of `config` with `a.b.0.c=value` applied in order; values are JSON, or a bare word for a string."""
    data = to_json(config)
    for assignment in assignments:
        dotted, separator, text = assignment.partition("=")
        if not separator:
            raise InputError("--set", repr(assignment), "KEY=VALUE, e.g. optim.lr=1e-4")
        try:
            value = parse_json(text, "--set")
        except InputError:  # a bare word
            value = text
        _assign(data, dotted, value)
    return from_json(type(config), data, "--set")


def _assign(data: Any, dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    node = data
    for part in [*parents, last]:
        parent, key = node, int(part) if isinstance(node, list) and part.isdigit() else part
        known = (
            range(len(node)) if isinstance(node, list) else node if isinstance(node, dict) else ()
        )
        if key not in known:
            raise InputError(
                "--set", f"unknown key {dotted!r}", f"{part!r} to be one of {list(known)}"
            )
        node = node[key]
    parent[key] = value


def _convert(kind: Any, value: Any, path: str) -> Any:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin is Annotated:
        base, by_name = args
        return value if isinstance(value, base) else _named(by_name.table, value, path)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, value, path)
    if origin is Literal:
        if not any(value == arg and type(value) is type(arg) for arg in args):
            raise InputError(path, repr(value), f"one of {list(args)}")
        return value
    if origin in (Union, types.UnionType):
        return _union(args, value, path)
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [args[0]] * len(value) if len(args) == 2 and args[1] is Ellipsis else list(args)
        if len(kinds) != len(value):
            raise InputError(path, f"{len(value)} items", f"{len(kinds)} items")
        return tuple(
            _convert(k, v, f"{path}.{i}") for i, (k, v) in enumerate(zip(kinds, value, strict=True))
        )
    if origin in (dict, Mapping) and isinstance(value, Mapping):
        return {key: _convert(args[1], item, f"{path}.{key}") for key, item in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > MAX_FLOAT:
            raise InputError(path, f"a number of {value.bit_length()} bits", "a smaller one")
        return float(value)
    # bool is an int to Python, never to a reader of a configuration
    if (
        isinstance(kind, type)
        and isinstance(value, kind)
        and isinstance(value, bool) == (kind is bool)
    ):
        return value
    raise InputError(path, repr(value), f"a value of type {getattr(kind, '__name__', kind)}")


def _dataclass(cls: type, value: Any, path: str) -> Any:
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        raise InputError(path, repr(value), f"the fields of {cls.__name__}")
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    if unknown := sorted(set(value) - set(fields)):
        raise InputError(path, f"unknown keys {unknown}", f"the keys {sorted(fields)}")
    required = {
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    if missing := sorted(required - set(value)):
        raise InputError(path, f"no keys {missing}", f"all of {sorted(required)}")
    return cls(
        **{name: _convert(hints[name], item, f"{path}.{name}") for name, item in value.items()}
    )


def _named(table: Mapping[str, type], value: Any, path: str) -> Any:
    """A dataclass of the table, the one that the value names."""
    name = value.get("name") if isinstance(value, Mapping) else None
    if not isinstance(name, str) or name not in table:
        raise InputError(f"{path}.name", repr(name), f"one of {sorted(table)}")
    return _convert(table[name], value, path)


def _union(args: tuple[Any, ...], value: Any, path: str) -> Any:
    if value is None and type(None) in args:
        return None
    kinds = [kind for kind in args if kind is not type(None)]
    if isinstance(value, Mapping) and all(map(dataclasses.is_dataclass, kinds)) and len(kinds) > 1:
        named = {typing.get_args(typing.get_type_hints(kind)["name"])[0]: kind for kind in kinds}
        return _named(named, value, path)
    for kind in kinds:
        if dataclasses.is_dataclass(kind) and isinstance(kind, type) and isinstance(value, kind):
            return value
    errors = []
    for kind in kinds:
        try:
            return _convert(kind, value, path)
        except InputError as error:
            errors.append(error)
    raise errors[-1]
