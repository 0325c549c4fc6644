"""Models by the name that they have on the Hugging Face hub, `org/name`: from its cache, from it, to it.

Nothing is asked of the network without `--allow-download` (`DOWNLOADS`), and never in the user's name. Where the hub
does not answer, that is said at once, and what the cache has is used. Nothing is sent but by `push`, which is called
for that alone, and only what makes a model: configuration, safetensors, settings, card.
"""

import re
from pathlib import Path

from lookharder.chain.card import CARD, front_matter
from lookharder.chain.config import ChainConfig
from lookharder.config import read_as
from lookharder.errors import InputError
from lookharder.files import say_once

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
FILES = ["config.json", "model.safetensors", "frontier.json", CARD]
FILES += ["autoencoder/config.json", "autoencoder/model.safetensors", f"autoencoder/{CARD}"]
PATIENCE = 5.0  # seconds until a hub that does not answer counts as away


def find_on_hub(name: str, argument: str) -> Path | None:
    """The folder of a model of the hub; None where the cache has none and nothing may be fetched.

    Raises:
        InputError: the hub has no such model, or does not answer and the cache has none.
    """
    if NAME.fullmatch(name) is None or ".." in name:
        return None
    from lookharder.autoencoder.kl import DOWNLOADS  # heavy, and no other model needs it

    try:
        from huggingface_hub import errors, model_info, snapshot_download
    except ImportError:
        return None
    # what the library's own client raises; which client that is changes with its versions
    away: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
    reason = None
    if DOWNLOADS.get():
        try:
            found = model_info(name, timeout=PATIENCE, token=False)
            folder = snapshot_download(
                name, revision=found.sha, allow_patterns=FILES, token=False, max_workers=1
            )
        except errors.HfHubHTTPError as error:
            raise InputError(
                argument, f"{name!r} ({_line(error)})", "a model of the hub"
            ) from error
        except (OSError, away) as error:
            reason = _line(error)
        else:
            return Path(folder)
    try:
        cached = snapshot_download(name, allow_patterns=FILES, local_files_only=True)
    except errors.LocalEntryNotFoundError as error:
        if reason is None:
            return None
        allowed = "a hub that answers, or a model that is in its cache"
        raise InputError(argument, f"{name!r} ({reason})", allowed) from error
    if reason is not None:
        say_once(name, f"the hub does not answer ({reason}): taken from the cache")
    return Path(cached)


def files_of(folder: Path) -> list[str]:
    """What of a model folder is sent, the card aside.

    Raises:
        InputError: it is no model, or one whose autoencoder is a folder of this machine.
    """
    names = [name for name in FILES if name != CARD and (folder / name).is_file()]
    if "model.safetensors" not in names:
        raise InputError("MODEL", f"{folder} without model.safetensors", "a model folder")
    source = str(read_as(ChainConfig, folder / "config.json").autoencoder.get("source", "a/name"))
    if NAME.fullmatch(source) is None or Path(source).exists():
        got = f"a model whose autoencoder is {source}, which only this machine has"
        raise InputError("MODEL", got, "one that names an autoencoder of the hub")
    return names


def check_named(name: str, card: str) -> None:
    """Refuse what the hub would not show as a model that others may use.

    Raises:
        InputError: a name that is none, or a card without a licence.
    """
    if NAME.fullmatch(name) is None:
        raise InputError("ORG/NAME", repr(name), "an organisation or a user, a slash and a name")
    if not re.search(r"^license: *\S", front_matter(card), re.MULTILINE):
        raise InputError("--license", "nothing", "a licence, such as apache-2.0: the card has none")


def push(
    folder: Path,
    name: str,
    card: str,
    *,
    message: str = "Upload a model",
    private: bool | None = None,
    token: str | bool | None = None,
    create_pr: bool = False,
) -> str:
    """Send a model folder to the hub in one commit; the address of the commit.

    Args:
        folder: of the model.
        name: org/name; made if there is none.
        card: what its README.md is to say.
        message: of the commit.
        private: whether a model that is made is hidden; None = as the organisation has it.
        token: of the user; None = the one that `hf auth login` has stored.
        create_pr: propose the commit, and do not make it.

    Raises:
        InputError: no model, a name that is none, no licence on the card, or a hub that refuses or does not answer.
    """
    files = files_of(folder)
    check_named(name, card)
    try:
        from huggingface_hub import CommitOperationAdd, HfApi, errors
    except ImportError as error:
        raise InputError(
            "ORG/NAME", name, "nothing without huggingface_hub (extra: hub)"
        ) from error
    away: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
    parts = [CommitOperationAdd(file, folder / file) for file in files]
    parts.append(CommitOperationAdd(CARD, card.encode()))
    api = HfApi(token=token)
    try:
        api.create_repo(name, private=private, exist_ok=True)
        done = api.create_commit(name, parts, commit_message=message, create_pr=create_pr)
    except (OSError, away, ValueError) as error:  # refused, not reached, or a card that it rejects
        raise InputError("ORG/NAME", f"{name!r} ({_line(error)})", "a hub that takes it") from error
    return str(done.pr_url or done.commit_url)


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
