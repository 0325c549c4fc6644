"""Runs read back: goodput in closed form, torn lines, medians against brute force."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookharder.errors import InputError
from lookharder.training.monitor.history import (
    WINDOW,
    final_losses,
    read_histories,
    read_history,
    running_median,
    summary,
    summary_table,
)

CONFIG = {"chain": {"prediction": "x0"}}


def row(iteration: int, time: float, **more) -> dict:
    losses = {"depth": 1.0 / iteration, "flow": 0.5}
    fields = {"iteration": iteration, "loss": 0.5, "losses": losses, "grad_norm": 1.0}
    return {**fields, "lr": 1e-3, "seconds": 1.0, "data_seconds": 0.25, "time": time, **more}


def write(folder: Path, rows: list[dict], validations: list[dict] = ()) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    for name, lines in (("metrics", rows), ("validation", validations)):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        if text:
            (folder / f"{name}.jsonl").write_text(text)
    return folder


def killed_once() -> list[dict]:
    """Rows every 10 s of work for 10 iterations of 0.8 s, 1 s of saving; 50 s lost and 30 s paused after the third."""
    speed = {"images_per_second": 40.0, "macs_per_second": 2e9, "save_seconds": 1.0}
    speed |= {"busy_seconds": 8.0, "data_wait": 0.5, "validation_seconds": 0.5}
    first = [row(10 * i, 1000.0 + 10 * i, started=1000.0, **speed) for i in (1, 2, 3)]
    second = [row(10 * i, 1080.0 + 10 * i, started=1110.0, **speed) for i in (4, 5)]
    return first + second


def test_goodput_counts_what_a_kill_has_cost(tmp_path):
    history = read_history(write(tmp_path / "run", killed_once()))
    found = summary(history)
    assert found["hours"] == pytest.approx(130 / 3600)  # from the first start to the last row
    assert found["goodput"] == pytest.approx(5 * 8 / 130)
    assert found["save_stall"] == pytest.approx(5 / 130)
    assert found["validation_stall"] == pytest.approx(2.5 / 130)
    assert (found["images_per_second"], found["data_wait"]) == pytest.approx((40, 0.5))
    assert found["mfu"] is None
    assert history.restarts == [30]


def test_means_are_weighted_by_time(tmp_path):
    rows = [
        row(10, 1010.0, started=1000.0, busy_seconds=9.0, images_per_second=10.0),
        row(20, 1011.0, started=1000.0, busy_seconds=1.0, images_per_second=90.0),
        row(30, 1012.0, started=1000.0, busy_seconds=0.0, images_per_second=None),
    ]
    found = summary(read_history(write(tmp_path / "run", rows)))
    assert found["images_per_second"] == pytest.approx(18)  # 180 images in 10 s


def test_an_older_row_stands_for_the_iterations_since_the_one_before(tmp_path):
    rows = [row(10, 1012.0), row(20, 1024.0)]  # 1 s an iteration
    found = summary(read_history(write(tmp_path / "run", rows)))
    assert found["goodput"] == pytest.approx(20 / 22)  # the first row's wall time is its work
    assert found["data_wait"] == 0.25
    assert found["save_stall"] is found["images_per_second"] is None


def test_updates_left_out_and_spans_excluded(tmp_path):
    rows = killed_once()
    rows[1] |= {
        "skipped": ["depth/a"],
        "loss": None,
        "grad_norm": None,
        "losses": {"depth": None, "flow": 0.5},
    }
    rows[3] |= {"excluded": True, "losses": {}}
    history = read_history(write(tmp_path / "run", rows))
    assert (history.skipped, history.excluded) == ([20], [(30, 40)])
    history.rows[3]["passed_over"] = {"first": 35, "last": 52, "back_to": 30}
    history.rows[4]["excluded"] = True  # within that window
    assert history.excluded == [(34, 52)]
    assert history.tasks == ["depth", "flow"]
    assert set(final_losses(history)) == {"depth", "flow"}


def test_a_torn_last_line_is_passed_over_and_a_damaged_one_is_named(tmp_path):
    folder = write(tmp_path / "run", killed_once(), [{"iteration": 10, "depth.ratio": 0.5}])
    for name, count in (("metrics.jsonl", 5), ("validation.jsonl", 1)):
        whole = (folder / name).read_text()
        line = whole.splitlines()[-1]
        for cut in range(len(line)):
            (folder / name).write_text(whole + line[:cut])
            history = read_history(folder)
            found = history.rows if name == "metrics.jsonl" else history.validations
            assert len(found) == count
        (folder / name).write_text(whole)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    (folder / "metrics.jsonl").write_text("\n".join([lines[0], lines[1][:40], *lines[2:]]))
    with pytest.raises(InputError, match=r"metrics.jsonl, line 2"):
        read_history(folder)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"RUN: got .*without config.json"):
        read_history(tmp_path)
    with pytest.raises(InputError, match="RUN"):
        read_history(tmp_path / "absent")
    folder = write(tmp_path / "young", [])
    with pytest.raises(InputError, match=r"without metrics.jsonl"):
        read_history(folder)
    (folder / "metrics.jsonl").write_text('{"iteration": 1')
    with pytest.raises(InputError, match="no row"):
        read_history(folder)
    for line in ("[1, 2]", '"words"', '{"loss": 1}'):
        (folder / "metrics.jsonl").write_text(f"{line}\n{json.dumps(row(1, 2.0))}\n")
        with pytest.raises(InputError, match="line 1"):
            read_history(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config.json"):
        read_history(folder)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200))
def test_running_median_is_that_of_the_window(numbers):
    values = np.array(numbers)
    found, half = running_median(values), max(1, int(len(values) * WINDOW / 2))
    assert found[0] == values[0] if len(values) > 0 else True
    for i in range(half, len(values) - half):
        assert found[i] == np.median(values[i - half : i + half + 1])
    assert found[-1] == np.median(values[-2 * half - 1 :]) or len(values) < 2 * half + 1
    some = np.arange(0, len(values), 3)
    np.testing.assert_array_equal(running_median(values, some), found[some])


def test_running_median_does_not_count_what_is_not_finite():
    values = np.ones(200)
    values[50:54] = [np.nan, np.inf, -np.inf, np.nan]
    assert (running_median(values) == 1).all()
    assert np.isnan(running_median(np.full(3, np.nan))).all()


def test_final_loss_is_the_end_of_the_line(tmp_path):
    rows = [row(i, 1000.0 + i) for i in range(1, 101)]
    history = read_history(write(tmp_path / "run", rows))
    assert final_losses(history) == {"depth": 1 / 98, "flow": 0.5}  # median of the last five


def test_the_table_has_a_column_for_each_run(tmp_path):
    folders = [write(tmp_path / name / "run", killed_once()) for name in ("one", "two")]
    table = summary_table(read_histories(folders))
    assert table.columns == ("", str(folders[0]), str(folders[1]))  # both folders are called run
    cells = {name: words for name, *words in table.rows}
    assert cells["goodput, %"] == ["30.8", "30.8"]
    assert cells["MFU, %"] == ["", ""]
    assert cells["GMACs/s"] == ["2.0", "2.0"]
    assert cells["restarts"] == ["1", "1"]
    assert "final loss, depth" in cells
    other = write(tmp_path / "other", killed_once())
    assert [h.name for h in read_histories([folders[0], other])] == ["run", "other"]
