"""Models by the name that they have on the Hugging Face hub, `org/name`: from the cache, and with the user's word anew.

Nothing is asked of the network without `--allow-download` (`DOWNLOADS`), and never in the user's name. Where the hub
does not answer, that is said at once, and what the cache has is used.
"""

import re
from pathlib import Path

from lookharder.errors import InputError
from lookharder.files import say_once

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
FILES = ["config.json", "model.safetensors", "frontier.json", "README.md"]
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


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
