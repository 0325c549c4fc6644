"""The families of the world of photographs, with their shares.

A layout furnishes a stage and returns its light; a view is an eye, a direction and a horizontal field of view. The same
stage has many views, and staging picks one.
"""

from collections.abc import Callable

from lookharder.data.world.families.laid_table import set_table, view_table
from lookharder.data.world.families.lived_in import furnished_room, view_room
from lookharder.data.world.families.props import PropDraft
from lookharder.data.world.families.roadside import boulevard, view_street
from lookharder.data.world.families.shots import CameraView
from lookharder.data.world.scene import Light

# share, layout, view, nearest and farthest median depth, metres of ambient shadow
PHOTOGRAPHED: tuple[
    tuple[
        float,
        Callable[[PropDraft], Light],
        Callable[[PropDraft], CameraView],
        tuple[float, float],
        float,
    ],
    ...,
] = (
    (0.58, furnished_room, view_room, (0.9, 30.0), 0.9),
    (0.22, boulevard, view_street, (3.0, 200.0), 4.0),
    (0.20, set_table, view_table, (0.3, 30.0), 0.4),
)
