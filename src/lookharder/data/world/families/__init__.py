"""The families of the embedded world: what is built around the camera, before anything moves.

A family furnishes a `Draft`: it sets the stage, says where the camera and the hero (the body to be completed) stand,
scatters other things around and returns the light. Its place in `FAMILIES` is the label of its pictures.
"""

from collections.abc import Callable

from lookharder.data.world.families.draft import Draft
from lookharder.data.world.families.indoors import (
    bright_room,
    clutter,
    columns,
    corridor,
    dim_room,
    floating,
    shelves,
    table_top,
    tunnel,
    warehouse,
)
from lookharder.data.world.families.outdoors import (
    desert,
    field,
    garden,
    rooftops,
    street,
    terraces,
)
from lookharder.data.world.scene import Light

LAYOUTS: tuple[Callable[[Draft], Light], ...] = (
    bright_room, dim_room, corridor, table_top, street, field, columns, rooftops,
    floating, shelves, terraces, clutter, tunnel, garden, warehouse, desert,
)  # fmt: skip
FAMILIES: tuple[str, ...] = tuple(layout.__name__.replace("_", " ") for layout in LAYOUTS)
