"""A trained system on a device: read, moved, described, written, shared; `Predictor` adds what it is asked."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch

from lookharder.chain import Chain, find
from lookharder.chain.card import read_card, write_card
from lookharder.chain.hub import push
from lookharder.errors import InputError
from lookharder.files import make_folder
from lookharder.hardware import pick_device
from lookharder.predict.acceleration import Precision, load
from lookharder.predict.info import describe
from lookharder.predict.planning import SamplingPlanner
from lookharder.predict.settings import SettingsTable

P = TypeVar("P", bound="Pretrained")  # for beartype knows no Self in a method


class Pretrained:
    """A trained system, with its table of measured settings if it has one, and its card."""

    def __init__(
        self,
        chain: Chain,
        device: str | torch.device = "cpu",
        name: str = "unnamed",
        settings: SettingsTable | None = None,
        card: str | None = None,
    ) -> None:
        self.device = pick_device(device)
        self.chain = chain.to(self.device)
        self.chain.network.eval()
        self.name, self.settings = name, settings
        self.card = card or write_card(chain.config, f"# {name}\n")
        self.planner = SamplingPlanner(self.chain, settings)

    @classmethod
    def from_pretrained(
        cls: type[P],
        path_or_name: str | Path,
        device: str | torch.device = "auto",
        precision: Precision = "fp32",
        compiled: bool = False,
        dtype: torch.dtype | None = None,
    ) -> P:
        """Load a model.

        Args:
            path_or_name: a folder, a model shipped with the package, or org/name of the hub's cache.
            device: where it works; "auto" = a GPU if there is one.
            precision: of the network's weights and tokens, "fp32", "bf16", or "auto": the quicker one here.
            compiled: fuse the network's blocks by `torch.compile`; needs a C++ compiler, and a minute at first.
            dtype: the precision as a type of torch, float32 or bfloat16; overrides `precision`.
        """
        folder, device = find(path_or_name), pick_device(device)
        chain = load(folder, precision=dtype or precision, compiled=compiled, device=device)
        settings = SettingsTable.read(folder)
        return cls(chain, device, str(path_or_name), settings, read_card(folder))

    def to(self: P, device: str | torch.device) -> P:
        """Move the system to a device, which may be "auto"; the predictor itself is returned."""
        self.device = pick_device(device)
        self.chain = self.chain.to(self.device)
        self.planner = SamplingPlanner(self.chain, self.settings)
        return self

    def info(self) -> dict[str, Any]:
        """What the model is: tasks, size, what a call does by default, and what it costs."""
        return describe(self.chain, self.name, self.device)

    def save_pretrained(self, folder: str | Path, card: str | None = None) -> None:
        """Write a model folder, by default with the card that the model came with.

        Raises:
            InputError: the weights were rounded when the model was loaded.
        """
        if next(self.chain.network.parameters()).dtype != torch.float32:
            raise InputError("precision", "bf16", "fp32: rounded weights are not the model's")
        make_folder(Path(folder), "folder")
        self.chain.save(Path(folder), card or self.card)
        if self.settings is not None:
            self.settings.write(Path(folder))

    def push_to_hub(
        self,
        repo_id: str,
        *,
        card: str | None = None,
        commit_message: str = "Upload a model",
        private: bool | None = None,
        token: str | bool | None = None,
        create_pr: bool = False,
    ) -> str:
        """Send the model to the Hugging Face hub, as diffusers' pipelines do; the address of the commit.

        Args:
            repo_id: org/name; made if there is none.
            card: what its README.md is to say; it must name a licence. None = the card that the model came with.
            commit_message: of the commit.
            private: whether a model that is made is hidden; None = as the organisation has it.
            token: of the user; None = the one that `hf auth login` has stored.
            create_pr: propose the commit, and do not make it.
        """
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder, card)
            return push(
                Path(folder),
                repo_id,
                card or self.card,
                message=commit_message,
                private=private,
                token=token,
                create_pr=create_pr,
            )
