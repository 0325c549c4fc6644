"""Scores on a model's card: a table for people, and the hub's `model-index`, each with the hash of its protocol."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lookharder.chain import Chain
from lookharder.chain.card import with_fields
from lookharder.errors import InputError
from lookharder.jsons import as_object, read_json
from lookharder.metrics.statistics import in_words
from lookharder.predict.info import fingerprint

HEAD = """
## Scores

By `lookharder evaluate`; in brackets intervals of 95 % over the pictures. Scores of two protocols do not compare.

| data | pictures | protocol, its hash | steps, members, levels | measure | score |
| --- | ---: | --- | --- | --- | --- |
"""


def with_scores(card: str, name: str, chain: Chain, files: Iterable[Path]) -> str:
    """A card with the scores of some files of `lookharder evaluate`, in the place of scores that it had.

    Args:
        card: the card.
        name: of the model.
        chain: the model; only scores of its weights go on its card.
        files: of the scores.

    Raises:
        InputError: a file that `lookharder evaluate` did not write, or the scores of another model.
    """
    results, rows, weights = [], "", fingerprint(chain)
    for path in files:
        said = as_object(read_json(path), str(path))
        if said.get("weights") != weights:
            got = f"scores of {said.get('model')}, of other weights"
            raise InputError(str(path), got, f"what `lookharder evaluate --model {name}` writes")
        means = {k: v for k, v in said["means"].items() if not k.startswith("trivial.")}
        results.append(_result(said, means, chain.task(said["task"]).pipeline))
        rows += "".join(_row(said, metric, mean) for metric, mean in means.items())
    metrics = sorted({metric["type"] for result in results for metric in result["metrics"]})
    index = [{"name": name, "results": results}]
    text = re.sub(re.escape(HEAD) + r"(?:\|.*\n)*", "", card)
    return (
        with_fields(text, {"metrics": metrics, "model-index": index}).rstrip() + f"\n{HEAD}{rows}"
    )


def _protocol(said: dict[str, Any]) -> tuple[str, str]:
    """Name and hash of what decides the score: the benchmark's card, or the rules alone."""
    if said.get("card"):
        return said["card"]["name"], said["card_hash"]
    return said["protocol"]["name"], said["protocol_hash"]


def _data(said: dict[str, Any]) -> str:
    """What was read; not where it lies on this machine."""
    return str(said["data"]).partition(":")[0]


def _result(said: dict[str, Any], means: dict[str, Any], pipeline: str | None) -> dict[str, Any]:
    protocol, digest = _protocol(said)
    spent = {key: said[key] for key in ("steps", "members", "levels", "seed")}
    return {
        "task": {"type": pipeline or said["task"], "name": said["task"]},
        "dataset": {
            "type": _data(said),
            "name": _data(said),
            "args": {"protocol": protocol, "protocol_hash": digest, **spent},
        },
        "metrics": [{"type": metric, "value": mean["mean"]} for metric, mean in means.items()],
    }


def _row(said: dict[str, Any], metric: str, mean: dict[str, float]) -> str:
    protocol, digest = _protocol(said)
    spent = f"{said['steps']}, {said['members']}, {said['levels']}"
    score = in_words(mean, ".4g")
    return f"| {_data(said)} | {mean['count']:.0f} | {protocol}, `{digest}` | {spent} | {metric} | {score} |\n"
