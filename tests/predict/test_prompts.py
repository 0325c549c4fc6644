"""A box or a point finds what stands out in it, the same each time, and says where it cannot."""

import numpy as np
import pytest

from lookharder.errors import InputError
from lookharder.predict.prompts import Prompt

RNG = np.random.default_rng(0)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A red disc on blue ground, both rough; and where it is."""
    y, x = np.mgrid[:60, :80]
    disc = np.hypot(x - 45, y - 28) < 14
    colour = np.where(
        disc, np.array([200, 60, 40])[:, None, None], np.array([40, 60, 160])[:, None, None]
    )
    return np.clip(colour + RNG.normal(0, 8, (3, 60, 80)), 0, 255).astype(np.uint8), disc


@pytest.mark.parametrize("prompt", [Prompt(box=(25, 8, 65, 48)), Prompt(point=(45, 28))])
def test_what_stands_out_is_found(prompt):
    image, disc = scene()
    found = prompt.mask(image)
    assert (found & disc).sum() / (found | disc).sum() > 0.95
    assert (prompt.mask(image) == found).all()


def test_text_is_read_and_written():
    assert Prompt.parse("--box", "1,2,30,40") == Prompt(box=(1, 2, 30, 40))
    assert str(Prompt.parse("--point", "5,6")) == "point 5,6"


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(box=(10, 10, 10, 20)),
        Prompt(box=(0, 0, 81, 20)),
        Prompt(box=(0, 0, 80, 60)),
        Prompt(point=(80, 5)),
    ],
)
def test_what_lies_outside_is_refused(prompt):
    with pytest.raises(InputError, match=r"--box|--point"):
        prompt.mask(scene()[0])
