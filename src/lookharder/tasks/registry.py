"""The table of tasks: to add one, write its module and add its row."""

from lookharder.tasks.amodal import Amodal
from lookharder.tasks.depth import Depth
from lookharder.tasks.flow import Flow
from lookharder.tasks.generation import Generation

AnyTask = Depth | Flow | Amodal | Generation

TASKS: dict[str, type[AnyTask]] = {
    "depth": Depth,
    "flow": Flow,
    "amodal": Amodal,
    "generation": Generation,
}

# all tasks as they are by default, in the order of their label rows: generation's rows are the classes
GENERALIST: tuple[AnyTask, ...] = (Generation(), Depth(), Flow(), Amodal())
