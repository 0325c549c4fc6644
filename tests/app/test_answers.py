"""What the page answers is what `lookharder predict` answers, and its price is known before."""

import numpy as np
import pytest

from lookharder.app import page
from lookharder.app.answers import Models, Question, clicked, prompt_of
from lookharder.data.formats import read_image, write_image
from lookharder.errors import InputError
from lookharder.predict.predictor import Predictor
from lookharder.predict.prompts import Prompt


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("app") / "photo.png"
    noise = np.random.default_rng(0).integers(0, 60, (3, 40, 56), np.uint8)
    noise[:, 10:30, 15:40] += 150  # something that stands out
    write_image(path, noise)
    return path


@pytest.fixture(scope="module")
def models(random_model):
    return Models(str(random_model), "cpu")


def test_an_answer_gets_better_member_by_member_and_ends_as_a_call_does(
    models, photo, random_model
):
    shown = list(models.answers(Question(task="depth", image=photo, steps=1, members=3)))
    called = Predictor.from_pretrained(random_model, "cpu")(
        photo, num_inference_steps=1, ensemble_size=3, output_uncertainty=True
    )
    assert [each.result.members for each in shown] == [1, 2, 3]
    np.testing.assert_array_equal(shown[-1].result.prediction, called.prediction)
    assert shown[-1].unsure.shape == shown[-1].picture.shape == (40, 56, 3)
    assert "3 members" in shown[-1].words and "mean uncertainty" in shown[-1].words
    (*_, other) = models.answers(
        Question(task="depth", image=photo, steps=1, members=3, mirror=True)
    )
    assert other.result.effort.mirror and not np.array_equal(other.picture, shown[-1].picture)
    (alone,) = models.answers(Question(task="depth", image=photo, steps=1, members=1, mirror=True))
    assert not alone.result.effort.mirror


def test_the_price_is_what_is_paid(models, photo):
    question = Question(task="depth", image=photo, steps=2, members=3)
    planner = models.of("depth").planner
    *_, last = models.answers(question)
    assert "2 steps, 3 members, 1 level" in models.price(question)
    from lookharder.predict.options import Options

    plan = planner.plan("depth", Options(**question.options), 1, (40, 56))
    assert planner.price("depth", plan).macs == last.result.macs


def test_every_task_says_what_it_needs(models, photo):
    for task, given in (("flow", {"second": photo}), ("amodal", {"where": "20,20"})):
        with pytest.raises(InputError):
            list(models.answers(Question(task=task, image=photo)))
        *_, last = models.answers(Question(task=task, image=photo, steps=1, **given))
        assert last.picture.shape == (40, 56, 3)


def test_clicks_are_a_point_and_then_a_box():
    assert clicked("", 30, 40) == "30,40"
    assert clicked("30,40", 10, 60) == "10,40,30,60"
    assert clicked("10,40,30,60", 5, 6) == "5,6"
    assert prompt_of("10, 40, 30, 60") == Prompt(box=(10, 40, 30, 60))
    assert prompt_of("5,6") == Prompt(point=(5, 6))
    for words in ("", "here", "1,2,3"):
        with pytest.raises(InputError):
            prompt_of(words)


def test_examples_are_written_into_a_folder_of_their_own(models, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "SCENES", page.SCENES[:1])
    rows = page.write_examples(tmp_path / "examples", page.kinds_of(models))
    assert sorted(rows) == ["amodal", "depth", "flow"]
    for task, kind in (("depth", 1), ("flow", 2), ("amodal", 2)):
        (row,) = rows[task]
        assert len(row) == kind
        assert read_image(row[0]).shape[1:] == page.SIZE
    assert read_image(rows["flow"][0][1]).shape[1:] == page.SIZE
    assert prompt_of(rows["amodal"][0][1]).mask(read_image(rows["amodal"][0][0])).any()
