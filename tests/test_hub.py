"""Models by their name on the hub: from a cache as its own client lays it out, to a server of this machine."""

import base64
import json
import shutil
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from lookharder.autoencoder.kl import DOWNLOADS
from lookharder.chain import find
from lookharder.chain.card import with_fields, write_card
from lookharder.chain.hub import push
from lookharder.cli import main
from lookharder.errors import InputError
from lookharder.jsons import read_json
from lookharder.predict.predictor import Predictor

hub = pytest.importorskip("huggingface_hub")
constants = pytest.importorskip("huggingface_hub.constants")
errors = pytest.importorskip("huggingface_hub.errors")
REVISION = "0" * 40


@pytest.fixture
def cache(tmp_path: Path, random_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with the model `someone/eyes`."""
    repo = tmp_path / "models--someone--eyes"
    shutil.copytree(random_model, repo / "snapshots" / REVISION)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(REVISION)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the hub was asked for; it never answers."""
    names: list[str] = []

    def away(name, **options):
        names.append(name)
        raise errors.HTTPError("no way to the hub")

    monkeypatch.setattr(hub, "model_info", away)
    return names


@pytest.fixture
def allowed():
    token = DOWNLOADS.set(True)
    yield
    DOWNLOADS.reset(token)


def test_the_cache_is_read_and_nobody_asked(cache, asked):
    assert (find("someone/eyes") / "config.json").is_file()
    with pytest.raises(InputError, match="--allow-download"):
        find("someone/else")
    for name in ("../eyes", "someone/eyes/more", "no/../way", "/etc/x"):
        with pytest.raises(InputError, match="a model folder"):
            find(name)
    assert asked == []


@pytest.mark.usefixtures("allowed")
def test_a_hub_that_is_away_is_one_line_at_once(cache, asked, caplog):
    began = time.perf_counter()
    assert (find("someone/eyes") / "config.json").is_file()
    assert "does not answer" in caplog.text
    with pytest.raises(InputError, match=r"someone/else' \(no way to the hub\)"):
        find("someone/else")
    assert asked == ["someone/eyes", "someone/else"]
    assert time.perf_counter() - began < 10


class Hub(BaseHTTPRequestHandler):
    """Takes what is sent, as the hub does of small files."""

    received: dict[str, bytes]
    asked: list[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(self.path)
        address = f"http://{self.headers['Host']}/someone/mine"
        answer: dict[str, object] = {"url": address}
        if "/preupload/" in self.path:
            modes = {"uploadMode": "regular", "shouldIgnore": False}
            answer = {"files": [{"path": f["path"], **modes} for f in json.loads(body)["files"]]}
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.received[line["value"]["path"]] = content
            answer = {"commitUrl": f"{address}/commit/1", "commitOid": "1"}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *about: object) -> None:
        """Nothing on standard error."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    kind = type("Taker", (Hub,), {"received": {}, "asked": []})
    with HTTPServer(("127.0.0.1", 0), kind) as one:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{one.server_port}")
        monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
        Thread(target=one.serve_forever, daemon=True).start()
        yield kind
        one.shutdown()


def test_a_model_is_sent_with_its_card_and_nothing_else(server, random_model, tmp_path, capsys):
    folder = tmp_path / "mine"
    shutil.copytree(random_model, folder)
    (folder / "notes.txt").write_text("of nobody's concern")
    (folder / "training.pkl").write_bytes(b"")
    scores = tmp_path / "scores.json"
    score = f"evaluate --model {folder} --task depth --data procedural:2 --size 32 --out {scores}"
    assert main(score.split()) == 0
    capsys.readouterr()
    upload = f"upload {folder} someone/mine --license mit --scores {scores}"
    assert main([*upload.split(), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert server.asked == []
    assert main(upload.split()) == 0
    assert capsys.readouterr().out.endswith("/someone/mine/commit/1\n")
    assert sorted(server.received) == ["README.md", "config.json", "model.safetensors"]
    assert server.received["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    card = server.received["README.md"].decode()
    assert shown.startswith(card)

    said = hub.ModelCard(card).data
    assert (said.license, said.library_name) == ("mit", "lookharder")
    assert said.pipeline_tag == "depth-estimation"
    means, digest = read_json(scores)["means"], read_json(scores)["protocol_hash"]
    found = {result.metric_type: result for result in said.eval_results}
    assert found["abs_rel"].metric_value == means["abs_rel"]["mean"]
    assert found["abs_rel"].dataset_args["protocol_hash"] == digest
    assert f"| procedural | 2 | procedural-depth, `{digest}` |" in card

    (folder / "README.md").write_text(card)  # scores anew are in the place of those that were there
    assert main([*upload.split(), "--dry-run"]) == 0
    assert capsys.readouterr().out == shown


def test_a_predictor_is_pushed_with_the_card_that_it_came_with(server, random_model, tmp_path):
    predictor = Predictor.from_pretrained(random_model)
    with pytest.raises(InputError, match="--license"):
        predictor.push_to_hub("someone/mine")
    predictor.card = write_card(predictor.chain.config, "# Mine\n", license="mit")
    assert predictor.push_to_hub("someone/mine").endswith("/commit/1")
    for name, content in server.received.items():
        (tmp_path / name).write_bytes(content)
    assert Predictor.from_pretrained(tmp_path).info()["weights"] == predictor.info()["weights"]
    assert Predictor.from_pretrained(tmp_path).card == predictor.card


def test_what_is_not_sent(server, random_model, tmp_path, monkeypatch):
    card = "---\nlicense: mit\n---\n# Mine\n"
    with pytest.raises(InputError, match=r"ORG/NAME: got 'mine'"):
        push(random_model, "mine", card)
    with pytest.raises(InputError, match="--license"):
        push(random_model, "someone/mine", "# Mine\n")
    own = {"kind": "kl", "source": "/opt/vae"}
    tmp_path.joinpath("config.json").write_text(
        json.dumps(read_json(random_model / "config.json") | {"autoencoder": own})
    )
    shutil.copy(random_model / "model.safetensors", tmp_path)
    with pytest.raises(InputError, match="only this machine has"):
        push(tmp_path, "someone/mine", card)
    assert server.asked == []
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(InputError, match=r"ORG/NAME: got 'someone/mine' \("):
        push(random_model, "someone/mine", card)


def test_a_card_says_what_is_new_in_the_place_of_what_it_said():
    card = "---\nlicense: mit\ntags:\n- a\n- b\nlanguage: en\n---\n# Mine\n"
    wanted = '---\nlicense: mit\nlanguage: en\ntags: ["depth"]\n---\n# Mine\n'
    assert with_fields(card, {"tags": ["depth"]}) == wanted
