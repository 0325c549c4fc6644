"""The table of tasks: to add one, write its module and add its row."""

from typing import Annotated

from lookharder.config import ByName
from lookharder.tasks.amodal import Amodal
from lookharder.tasks.base import Task
from lookharder.tasks.depth import Depth
from lookharder.tasks.flow import Flow
from lookharder.tasks.generation import Generation

TASKS: dict[str, type[Task]] = {
    "depth": Depth,
    "flow": Flow,
    "amodal": Amodal,
    "generation": Generation,
}

# a task as a field of a configuration: its `name` says which row of the table it is
AnyTask = Annotated[Task, ByName(TASKS)]

# all tasks as they are by default, in the order of their label rows: generation's rows are the classes
GENERALIST: tuple[Task, ...] = (Generation(), Depth(), Flow(), Amodal())
