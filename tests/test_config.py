"""Configurations become JSON and come back, strictly."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from lookharder.config import from_json, override, to_json
from lookharder.errors import InputError
from lookharder.recipes import RECIPES
from lookharder.training.run import RunConfig


@dataclass(frozen=True, kw_only=True)
class Cat:
    name: Literal["cat"] = "cat"
    lives: int = 9


@dataclass(frozen=True, kw_only=True)
class Dog:
    name: Literal["dog"] = "dog"
    weight: float | None = None


@dataclass(frozen=True, kw_only=True)
class House:
    street: str
    pets: tuple[Cat | Dog, ...] = ()
    rooms: dict[str, float] = field(default_factory=dict)
    warm: bool = True


HOUSE = House(street="Elm", pets=(Cat(), Dog(weight=3.5)), rooms={"bath": 4.0})


def test_there_and_back():
    assert from_json(House, to_json(HOUSE)) == HOUSE


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_there_and_back(name):
    recipe = RECIPES[name]()
    assert from_json(RunConfig, to_json(recipe)) == recipe


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"streat": "Elm"}, "unknown keys ['streat']"),
        ({"street": 3}, "config.street: got 3"),
        ({"warm": 1}, "config.warm: got 1"),
        ({"pets": [{"name": "cow"}]}, "config.pets.0.name: got 'cow'"),
        ({"pets": [{"name": "cat", "lives": True}]}, "config.pets.0.lives"),
        ({"rooms": {"bath": "big"}}, "config.rooms.bath"),
    ],
)
def test_coming_back_is_strict(change, says):
    with pytest.raises(InputError) as error:
        from_json(House, to_json(HOUSE) | change)
    assert says in str(error.value)


def test_missing_key():
    with pytest.raises(InputError, match=r"no keys \['street'\]"):
        from_json(House, {})


def test_override():
    changed = override(HOUSE, ["street=Oak", "pets.1.weight=4", "rooms.bath=5.5", "warm=false"])
    assert changed == House(
        street="Oak", pets=(Cat(), Dog(weight=4.0)), rooms={"bath": 5.5}, warm=False
    )


@pytest.mark.parametrize(
    "bad", ["street", "strat=1", "pets.7.weight=1", "pets.x.weight=1", "street.a=1", "warm=3"]
)
def test_override_refuses(bad):
    with pytest.raises(InputError):
        override(HOUSE, [bad])
