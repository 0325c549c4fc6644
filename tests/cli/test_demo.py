"""The verb `demo` through the real entry point: page, pictures and scores."""

import json
import time

from lookharder.cli import main
from lookharder.data.formats import read_image


def test_demo_writes_page_pictures_and_scores(capsys, place):
    out = place / "shown"
    began = time.perf_counter()
    assert main(f"demo --model {place}/model --count 2 --out {out}".split()) == 0
    assert time.perf_counter() - began < 60
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["scenes"] == 2 and set(metrics["tasks"]) == {"depth", "flow", "amodal"}
    page = (out / "index.html").read_text()
    pictures = sorted((out / "pictures").iterdir())
    assert len(pictures) == 2 * (3 + 4 + 5)
    for picture in pictures:
        assert f'src="pictures/{picture.name}"' in page
        assert read_image(picture).shape == (3, 192, 256)
    said = capsys.readouterr().out
    for metric in ("abs_rel", "epe", "iou_invisible"):
        assert metric in page and metric in said
    assert f"{metrics['tasks']['flow']['rows'][1]['epe']:.3f}" in page
