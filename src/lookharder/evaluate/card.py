"""Protocol cards: how the field scores a benchmark, under a name, a version and a hash.

    lookharder protocols                                          all cards (`evaluate.cards`)
    lookharder evaluate --protocol nyuv2 --data nyuv2:PATH ...    scores under one
    ... --protocol nyuv2 --set rules.max_depth=80.0               another protocol, with another hash

A card is complete: what it says decides a score, and nothing that a caller gives beside it may contradict it. Its hash
is of all that; where a published protocol is not met, `departs` says in what.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lookharder.chain import FitName
from lookharder.config import to_json
from lookharder.diffusion.steps import SamplerName
from lookharder.errors import InputError
from lookharder.metrics.protocol import Protocol

LATER: Mapping[str, Any] = {"options": "", "sampler": None}  # added since: hashes of before stay
WORDS = ("source", "departs", "verified")  # fields of a card that decide no score


@dataclass(frozen=True, kw_only=True)
class Card:
    """A benchmark's protocol.

    Attributes:
        name: of the card, a key of `CARDS`.
        version: counted up when anything that decides a score changes.
        reader: of its data, see `data.readers`.
        options: of the reader, as a spec has them, that the card decides: "mask=eigen".
        images: how many the published split has.
        split: which they are.
        crop: what is cut off before scoring, by the reader.
        rules: valid range, mask, alignment, averaging.
        resolution: longest edge at which the network works; None = the model's own, as it was trained; 0 = native.
        fit: how a picture is brought to that; None = as the model was trained.
        steps: denoising steps; None = the model's own.
        members: likewise.
        sampler: likewise.
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
    options: str = ""
    sampler: SamplerName | None = None

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits of what decides a score; words about it do not count."""
        said = {
            k: v
            for k, v in to_json(self).items()
            if k not in WORDS and (k not in LATER or v != LATER[k])
        }
        text = json.dumps({**said, "rules": self.rules.hash}, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    def spec(self, given: str) -> str:
        """The data that a user named, read as the card says.

        Raises:
            InputError: the reader is not the card's, or an option is another.
        """
        if given.partition(":")[0] != self.reader:
            raise InputError("--data", repr(given), f"{self.reader}:PATH, of protocol {self.name}")
        for option in filter(None, self.options.split("&")):
            name = option.partition("=")[0]
            said = re.search(rf"[?&]({re.escape(name)}=[^&]*)", given)
            if said is None:
                given += ("&" if re.search(r"\?[^/]*=", given) else "?") + option
            elif said[1] != option:
                raise InputError("--data", repr(given), f"{option}, of protocol {self.name}")
        return given
