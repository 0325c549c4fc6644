"""Compute as an argument: the same picture for less and for more, and until it is certain.

python examples/budget.py
"""

import numpy as np

from lookharder import Predictor
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import HELD_OUT_SEED


def main() -> list[int]:
    """Predict the depth of one scene in four ways; returns the multiply-adds of each."""
    predictor = Predictor.from_pretrained("tiny")
    image = np.moveaxis(ProceduralWorld(64, HELD_OUT_SEED)[0].image, 0, -1)  # (H, W, 3) uint8
    ways = {
        "one step": {"num_inference_steps": 1},
        "4 steps, 4 members": {"num_inference_steps": 4, "ensemble_size": 4},
        "budget of 1 GMACs": {"budget": "1GMACs"},
        "until 0.02": {"num_inference_steps": 4, "ensemble_size": 16, "until": "0.02"},
    }
    spent = []
    for name, options in ways.items():
        result = predictor(image, task="depth", output_uncertainty=name != "one step", **options)
        spent.append(result.macs)
        print(f"{name:20} {result.macs / 1e9:6.2f} GMACs   {result.choice or ''}")
    return spent


if __name__ == "__main__":
    main()
