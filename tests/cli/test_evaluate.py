"""The verb `evaluate` through the real entry point: what it writes and says."""

import json

from lookharder.cli import main


def test_evaluate_writes_scores_beside_trivial_ones(capsys, place):
    out = place / "scores" / "flow.json"
    line = f"evaluate --model {place}/model --task flow --data procedural:2:5 --size 32 --out {out}"
    assert main(line.split()) == 0
    scores = json.loads(out.read_text())
    assert len(scores["rows"]) == 2 and scores["protocol_hash"]
    assert scores["means"]["epe"]["low"] <= scores["means"]["epe"]["mean"]
    said = capsys.readouterr().out
    for word in ("epe", "zero", "lower", f"{scores['means']['epe']['mean']:.3f}"):
        assert word in said
