"""Protocol cards: complete, named, hashed; scores under one are those of an independent computation."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookharder import Predictor
from lookharder.cli import main
from lookharder.config import override
from lookharder.data.readers import READERS
from lookharder.data.readers.specs import open_data
from lookharder.errors import InputError
from lookharder.evaluate.cards import CARDS, find_card
from lookharder.metrics.scores import SCORES

PAGE = Path(__file__).parents[2] / "docs" / "protocols.md"
RNG = np.random.default_rng(5)


def test_every_card_stands_on_the_page_with_its_hash():
    rows = re.findall(r"^\| `([\w-]+)` \| (\d+) \| `(\w{12})` \|", PAGE.read_text(), re.MULTILINE)
    assert rows == [(card.name, str(card.version), card.hash) for card in CARDS.values()]
    assert len({card.hash for card in CARDS.values()}) == len(CARDS)
    for name, card in CARDS.items():
        assert card.name == card.rules.name == name
        assert card.reader in READERS and card.rules.task in SCORES
        flow = {"epe", "epe_fitted", "epe_matched", "epe_unmatched", "fl_all", "px1", "px3", "px5"}
        assert set(card.rules.pooled) <= flow
        assert all(option.partition("=")[2] for option in card.options.split("&") if option)


def test_a_hash_is_of_what_decides_a_score():
    card = find_card("nyuv2")
    assert replace(card, verified="more").hash == card.hash
    changes = (
        "rules.max_depth=80.0",
        "resolution=64",
        "steps=4",
        "fit=square",
        "crop=none",
        "sampler=heun",
    )
    found = {override(card, [change]).hash for change in changes}
    assert len(found) == len(changes) and card.hash not in found
    with pytest.raises(InputError, match="--protocol: got 'nyu', allowed: one of nyuv2"):
        find_card("nyu")


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    """Two pictures as published: NNNNN.jpg and NNNNN_depth.png, 320 x 240, one of them of the validation."""
    for index in (7, 1300):
        picture = RNG.integers(0, 256, (240, 320, 3), np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{index:05d}.jpg")
        depth = np.clip(RNG.normal(100, 40, (240, 320)), 0, 255).astype(np.uint8)
        Image.fromarray(depth).save(tmp_path / f"{index:05d}_depth.png")
    return tmp_path


def test_scores_of_nyuv2_are_those_of_marigold_s_arithmetic(
    rooms: Path, random_model: Path, tmp_path: Path, capsys
):
    """Least squares in depth space over valid pixels of Eigen's crop, clipped to 1e-3 to 10 m; means over pictures."""
    out, spec = tmp_path / "scores.json", f"nyuv2:{rooms}"
    line = ["evaluate", "--protocol", "nyuv2", "--data", spec, "--model", str(random_model)]
    assert main([*line, "--steps", "1", "--out", str(out)]) == 0
    said, scores = capsys.readouterr().out, json.loads(out.read_text())
    card = find_card("nyuv2")
    assert f"nyuv2 version 1 ({card.hash}), 2 of 654" in " ".join(said.split())
    assert scores["card_hash"] == card.hash and scores["card"]["rules"]["max_depth"] == 10.0
    predictor, expected = Predictor.from_pretrained(random_model), []
    for example in (open_data(spec)[i] for i in range(2)):
        assert example.image.shape == (3, 213, 280)
        answer = predictor(example.image, "depth", num_inference_steps=1).prediction[0, ..., 0]
        mask = (example.depth > 1e-3) & (example.depth < 10)
        p, t = answer[mask].astype(np.float64), example.depth[mask].astype(np.float64)
        fit = np.linalg.lstsq(np.stack([p, np.ones_like(p)], 1), t, rcond=None)[0]
        aligned = np.clip(fit[0] * p + fit[1], 1e-3, 10)
        ratio = np.maximum(aligned / t, t / aligned)
        expected.append((np.mean(np.abs(aligned - t) / t), np.mean(ratio < 1.25)))
    for name, value in zip(("abs_rel", "delta1"), np.mean(expected, axis=0), strict=True):
        assert scores["means"][name]["mean"] == pytest.approx(value, rel=1e-6)


def test_nothing_beside_a_card_overrides_it_silently(rooms: Path, tmp_path: Path, capsys):
    line = ["evaluate", "--data", f"nyuv2:{rooms}?split=val", "--out", str(tmp_path / "x.json")]
    card = ["--protocol", "nyuv2", "--set", "steps=1"]
    for more, words in (
        ([], "--task: got nothing"),
        (["--protocol", "nyuv2", "--task", "flow"], "--task: got flow, allowed: depth"),
        ([*card, "--steps", "2"], "--steps: got 2, allowed: 1"),
        (["--protocol", "hypersim"], "hypersim:PATH"),
        (["--protocol", "nyuv2", "--set", "rules.far=1"], "--set: got unknown key"),
        (["--task", "depth", "--set", "steps=1"], "--set: got steps=1"),
    ):
        assert main([*line, *more]) == 2
        assert words in capsys.readouterr().err


def test_the_verb_lists_them_and_shows_one(capsys):
    assert main(["protocols"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in CARDS)
    assert main(["protocols", "nyuv2", "--set", "rules.max_depth=80.0"]) == 0
    said = capsys.readouterr().out
    assert "Eigen" in said and CARDS["nyuv2"].hash not in said and "80.0" in said
    assert main(["protocols", "--set", "steps=1"]) == 2
