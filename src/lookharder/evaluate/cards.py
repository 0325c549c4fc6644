"""Protocol cards: how the field scores a benchmark, under a name, a version and a hash.

    lookharder protocols                                          all cards
    lookharder evaluate --protocol nyuv2 --data nyuv2:PATH ...    scores under one
    ... --protocol nyuv2 --set rules.max_depth=80.0               another protocol, with another hash

A card is complete: what it says decides a score, and nothing that a caller gives beside it may contradict it. Its hash
is of all that; where a published protocol is not met, `departs` says in what.
"""

import hashlib
import json
from dataclasses import dataclass

from lookharder.chain import FitName
from lookharder.config import to_json
from lookharder.errors import InputError
from lookharder.metrics.protocol import Protocol


@dataclass(frozen=True, kw_only=True)
class Card:
    """A benchmark's protocol.

    Attributes:
        name: of the card, a key of `CARDS`.
        version: counted up when anything that decides a score changes.
        reader: of its data, see `data.readers`.
        images: how many the published split has.
        split: which they are.
        crop: what is cut off before scoring, by the reader.
        rules: valid range, mask, alignment, averaging.
        resolution: longest edge at which the network works; None = the model's own, as it was trained; 0 = native.
        fit: how a picture is brought to that; None = as the model was trained.
        steps: denoising steps; None = the model's own.
        members: likewise.
        source: where the protocol is from.
        departs: in what it differs from that.
        verified: what it was run on here.
    """

    name: str
    version: int
    reader: str
    images: int
    split: str
    crop: str
    rules: Protocol
    resolution: int | None = None
    fit: FitName | None = None
    steps: int | None = None
    members: int | None = None
    source: str
    departs: str
    verified: str

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits of what decides a score; words about it do not count."""
        said = {
            k: v for k, v in to_json(self).items() if k not in ("source", "departs", "verified")
        }
        text = json.dumps({**said, "rules": self.rules.hash}, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    def check(self, spec: str) -> None:
        """Refuse data of another benchmark.

        Raises:
            InputError: the reader of a spec is not the card's.
        """
        if spec.partition(":")[0] != self.reader:
            raise InputError("--data", repr(spec), f"{self.reader}:PATH, of protocol {self.name}")


def find_card(name: str, argument: str = "--protocol") -> Card:
    """A card by its name; `argument` is what an error calls it.

    Raises:
        InputError: there is none.
    """
    if name not in CARDS:
        raise InputError(argument, repr(name), f"one of {', '.join(CARDS)}")
    return CARDS[name]


MARIGOLD = "prs-eth/Marigold, script/depth and src/dataset (2312.02145)"
RAFT = "princeton-vl/RAFT, evaluate.py (2003.12039)"
SMALL = "the excerpt among the tests' reference data"
CARDS = {
    card.name: card
    for card in (
        Card(
            name="nyuv2",
            version=1,
            reader="nyuv2",
            images=654,
            split="official test; `?split=val` is the 95 largest indices of the official training pictures",
            crop="Eigen: rows 45 to 470, columns 41 to 600 of 640 x 480",
            rules=Protocol(name="nyuv2", task="depth", min_depth=1e-3, max_depth=10.0),
            source=MARIGOLD,
            departs="pictures and depth of 320 x 240, 8 bits of 4 cm; the crop is halved with them",
            verified="95 validation pictures",
        ),
        Card(
            name="hypersim",
            version=1,
            reader="hypersim",
            images=7370,
            split="validation, Marigold's filter",
            crop="none",
            rules=Protocol(name="hypersim", task="depth", min_depth=1e-5, max_depth=65.0),
            source=MARIGOLD,
            departs="nothing known",
            verified=SMALL + ", 2 pictures",
        ),
        Card(
            name="flying-chairs",
            version=1,
            reader="flying_chairs",
            images=640,
            split="validation: marks 2 of FlyingChairs_train_val.txt",
            crop="none",
            rules=Protocol(name="flying-chairs", task="flow", pooled=("epe", "epe_fitted")),
            source=RAFT,
            departs="epe_fitted, each component fitted to the truth, stands beside epe; the paper's 3.08 may be that",
            verified=SMALL + ", 1 pair",
        ),
        Card(
            name="kitti-2015-flow",
            version=1,
            reader="kitti_flow",
            images=200,
            split="training",
            crop="none",
            rules=Protocol(name="kitti-2015-flow", task="flow", pooled=("fl_all",)),
            source=RAFT,
            departs="nothing known: end-point error is averaged over pictures, Fl-all over pixels",
            verified=SMALL + ", 1 pair",
        ),
        Card(
            name="pix2gestalt",
            version=1,
            reader="pix2gestalt",
            images=8370,
            split="the last hundredth, about, of 837 thousand by sorted path",
            crop="none",
            rules=Protocol(name="pix2gestalt", task="amodal"),
            source="pix2gestalt, 2401.14398: grey up to 250 is object, majority vote",
            departs="the reader takes every picture of the folder: the split is the caller's",
            verified=SMALL + ", 5 objects",
        ),
    )
}
