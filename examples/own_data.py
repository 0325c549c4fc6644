"""Your own pictures with depth: a folder in, faults listed, the shipped model scored on it.

python examples/own_data.py
"""

import tempfile
from pathlib import Path

from lookharder import Predictor
from lookharder.data.formats import write_depth_png, write_image
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import HELD_OUT_SEED, examine, open_spec
from lookharder.evaluate.evaluation import evaluate, protocol


def write_folder(folder: Path, count: int) -> None:
    """Stand-ins for your photos: NAME.png, and beside each NAME_depth.png in millimetres."""
    world = ProceduralWorld(64, HELD_OUT_SEED)
    for i in range(count):
        example = world[i]
        write_image(folder / f"photo{i}.png", example.image)
        write_depth_png(folder / f"photo{i}_depth.png", example.depth)


def main(count: int = 8) -> float:
    """Score the shipped model on a folder; returns its AbsRel."""
    with tempfile.TemporaryDirectory() as folder:
        write_folder(Path(folder), count)
        spec = f"folder:{folder}?depth_unit=mm"  # what `--data` takes on the command line
        faults = examine(spec).problems
        print(f"{len(faults)} faults")

        predictor = Predictor.from_pretrained("tiny")
        rules = protocol("depth", "folder", predictor.chain)
        found = evaluate(predictor, "depth", open_spec(spec, 64), data="photos", rules=rules)
    for name, mean in found.means.items():
        if name.endswith("abs_rel"):  # the model's, and the baseline's beside it
            print(f"{name:28} {mean['mean']:.3f} [{mean['low']:.3f}, {mean['high']:.3f}]")
    return found.means["abs_rel"]["mean"]


if __name__ == "__main__":
    main()
