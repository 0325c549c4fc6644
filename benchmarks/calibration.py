"""Does the shipped model's uncertainty rank and bound its error? JSON of all rows, and one picture.

    python benchmarks/calibration.py --scenes 200 --members 10 --out docs/results

Scenes are held out from training. Writes `calibration.json` and `calibration.png`.
"""

import argparse
from pathlib import Path

from lookharder.data.source import Remembered, open_spec
from lookharder.evaluate.calibration import calibration
from lookharder.evaluate.evaluation import protocol
from lookharder.files import write_json
from lookharder.metrics.scores import SCORES
from lookharder.predict.predictor import Predictor
from lookharder.report.figures.calibration import draw_calibration


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--level", type=float, default=0.9)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    predictor = Predictor.from_pretrained(options.model)
    data = f"procedural:{options.scenes}"
    scenes = Remembered(open_spec(data, predictor.chain.config.resolution))
    reports = []
    for task in SCORES:
        report = calibration(
            predictor,
            task,
            scenes,
            data=data,
            rules=protocol(task, "procedural", predictor.chain),
            members=options.members,
            steps=options.steps,
            level=options.level,
        )
        reports.append(report)
        mean = {key: row["mean"] for key, row in report.means.items()}
        print(
            f"{task:7} error {mean['error']:.4f}  AUSE {mean['ause']:.3f}  AURG {mean['aurg']:.3f} "
            f"(trivial {mean['trivial.aurg']:.3f})  rank {mean['spearman']:.3f}  "
            f"across pictures {report.across:.3f}"
        )
    write_json(options.out / "calibration.json", [report.to_json() for report in reports])
    draw_calibration(reports, options.out / "calibration.png")


if __name__ == "__main__":
    main()
