"""How many photos of a folder are in memory at once."""

import gc
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from lookharder.data.formats import write_image
from lookharder.predict import inputs as predict_inputs
from lookharder.predict.files import batch
from lookharder.predict.files.folder import hold
from lookharder.predict.files.pictures import Input, check
from lookharder.predict.files.questions import ask
from lookharder.predict.predictor import Predictor
from lookharder.tasks.depth import Depth
from lookharder.visualize.answer_files import Writing

SIDE = 16


@pytest.mark.parametrize(("largest", "most"), [(SIDE**2 - 1, 0), (SIDE**2, 1)])
def test_of_large_photos_one_is_held_at_a_time(tmp_path, random_model, monkeypatch, largest, most):
    """As a photo is read, none of those before it is held where they are large; of small ones one is being written."""
    seen: list[weakref.ref[np.ndarray]] = []
    found, read = [], Input.read

    def alive() -> int:
        gc.collect()
        return sum(image() is not None for image in seen)

    def counted(item: Input) -> dict[str, np.ndarray]:
        # a thread lets go of what it wrote a moment after it has said so
        patience = time.monotonic() + 5
        while alive() > most and time.monotonic() < patience:
            time.sleep(0.01)
        found.append(alive())
        pixels = read(item)
        seen.append(weakref.ref(pixels["image"]))
        return pixels

    for i in range(5):
        pixels = np.random.default_rng(i).integers(0, 256, (3, SIDE, SIDE), np.uint8)
        write_image(Path(tmp_path, f"{i}.png"), pixels)
    inputs, _ = check(Depth(), ask(Depth(), [str(tmp_path)], {}))
    for module in (batch, predict_inputs):
        monkeypatch.setattr(module, "PIXELS", largest)
    monkeypatch.setattr(Input, "read", counted)
    predictor, writing = Predictor.from_pretrained(random_model), Writing()
    with hold(tmp_path / "out") as folder:
        batch.begin(folder, inputs, unsure=False, writing=writing)
        made = list(batch.predict_files(predictor, inputs, inputs, folder, writing=writing))
    assert len(made) == len(found) == 5
    assert max(found) <= most
