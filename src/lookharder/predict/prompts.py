"""The visible part of an object from a box or a point, where there is no mask: GrabCut, which knows colours and edges.

    mask = Prompt(box=(40, 30, 200, 180)).mask(image)
    predictor(image, "amodal", mask=mask)

GrabCut (Rother et al., SIGGRAPH 2004, as in OpenCV) parts two mixtures of colours by a cut along edges. It is a start
that is honest about what it is: no object is recognised, and where object and ground share their colours it errs.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from lookharder.errors import InputError

ROUNDS = 5
UNUSED = (0, 0, 1, 1)  # a box, which GrabCut wants also where a mask says more
CERTAIN, LIKELY = 0.02, 0.2  # radii around a point, shares of the shorter side


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What is meant: one of the two, in pixels of the image, x right and y down.

    Attributes:
        box: (x0, y0, x1, y1) around the object; x1 and y1 are outside.
        point: (x, y) on the object.
    """

    box: tuple[int, int, int, int] | None = None
    point: tuple[int, int] | None = None

    @classmethod
    def parse(cls, argument: str, text: str) -> "Prompt":
        """The prompt of "x0,y0,x1,y1" or "x,y".

        Raises:
            InputError: other text than whole numbers with commas, as many as the argument takes.
        """
        parts = text.split(",")
        count = {"--box": 4, "--point": 2}[argument]
        if len(parts) != count or not all(p.isascii() and p.isdecimal() for p in parts):
            raise InputError(argument, repr(text), "x0,y0,x1,y1" if count == 4 else "x,y")
        numbers = [int(part[:9]) for part in parts]
        if count == 2:
            return cls(point=(numbers[0], numbers[1]))
        return cls(box=(numbers[0], numbers[1], numbers[2], numbers[3]))

    def __str__(self) -> str:
        name, numbers = ("box", self.box) if self.box is not None else ("point", self.point)
        return f"{name} {','.join(map(str, numbers or ()))}"

    def mask(self, image: UInt8[np.ndarray, "3 H W"]) -> Bool[np.ndarray, "H W"]:
        """The visible part of the object; the same for the same image.

        Raises:
            InputError: the prompt lies outside of the image, or nothing was found in it.
        """
        import cv2

        height, width = image.shape[1:]
        likely = self._start(height, width)
        picture = np.ascontiguousarray(image.transpose(1, 2, 0)[..., ::-1])  # OpenCV's order
        cv2.setRNGSeed(0)  # of its clustering of colours
        models = np.zeros((1, 65)), np.zeros((1, 65))
        found, _, _ = cv2.grabCut(picture, likely, UNUSED, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
        inside: np.ndarray = (found == cv2.GC_FGD) | (found == cv2.GC_PR_FGD)
        if not inside.any():
            raise InputError(
                str(self), "nothing that stands out", "another box or point, or --mask"
            )
        return inside

    def _start(self, height: int, width: int) -> UInt8[np.ndarray, "H W"]:
        """What is known at the start, in GrabCut's words: the ground for certain, the object perhaps."""
        import cv2

        start = np.full((height, width), cv2.GC_BGD, np.uint8)
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
                raise InputError("--box", str(self), f"x0 < x1 <= {width}, y0 < y1 <= {height}")
            if (x1 - x0) * (y1 - y0) == height * width:
                raise InputError("--box", str(self), "a box that leaves some ground outside")
            start[y0:y1, x0:x1] = cv2.GC_PR_FGD
            return start
        x, y = self.point or (-1, -1)
        if not (0 <= x < width and 0 <= y < height):
            raise InputError("--point", str(self), f"inside of {width} x {height}")
        rows, columns = np.mgrid[:height, :width]
        away = np.hypot(columns - x, rows - y) / min(height, width)
        start[:] = cv2.GC_PR_BGD
        start[[0, -1]] = start[:, [0, -1]] = cv2.GC_BGD
        start[away <= LIKELY] = cv2.GC_PR_FGD
        start[away <= CERTAIN] = cv2.GC_FGD
        return start
