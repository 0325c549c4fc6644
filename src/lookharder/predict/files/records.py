"""The lines of a folder of results: its records and claims, those of the whole and those of shards."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lookharder.errors import InputError
from lookharder.files import as_named_here, read_text
from lookharder.jsons import as_object, parse_json
from lookharder.shard import Shard

AnswerRecord = dict[str, Any]
Key = tuple[str, str]  # task and name of a result
RECORDS, CLAIMS, PAGE = "predictions.jsonl", ".predictions.claims", "index.html"
OWN = re.compile(r"\.?predictions(\.\d+-of-\d+)?\.(jsonl|claims)|index\.html")
PARTS = "[0-9]*-of-[0-9]*"  # between the name and the ending, of a shard's


def part_of(name: str, shard: Shard) -> str:
    """The name of a shard's own file in the place of a file of the whole."""
    start, _, ending = name.rpartition(".")
    part = "" if shard.count == 1 else f".{shard.index}-of-{shard.count}"
    return f"{start}{part}.{ending}"


def parts_of(folder: Path, *names: str) -> list[Path]:
    """The files of shards in the place of those of the whole."""
    found = [name.rpartition(".") for name in names]
    return [
        path
        for start, _, ending in found
        for path in sorted(folder.glob(f"{start}.{PARTS}.{ending}"))
    ]


def read_folder(folder: Path) -> tuple[list[AnswerRecord], list[AnswerRecord]]:
    """The records of a folder, and as claims: what was being written, and records that lack a file; each file once."""
    parts, claims = (
        [line for path in parts_of(folder, name) for line in lines_of(path)]
        for name in (RECORDS, CLAIMS)
    )
    keys = {key_of(record) for record in parts}
    records = [r for r in lines_of(folder / RECORDS) if key_of(r) not in keys] + parts
    claims += lines_of(folder / CLAIMS)
    whole = [all((folder / file).exists() for file in files_of(record)) for record in records]
    claims += [record for record, good in zip(records, whole, strict=True) if not good]
    records = [record for record, good in zip(records, whole, strict=True) if good]
    named = {file for record in records for file in files_of(record)}
    left = []
    for claim in claims:
        if not named.issuperset(files_of(claim)):
            named.update(files_of(claim))
            left.append(claim)
    return records, left


def owned_files(
    folder: Path, records: Sequence[AnswerRecord], claims: Sequence[AnswerRecord]
) -> set[str]:
    """The files of records and claims, and those of the folder itself if there are any."""
    files = {file for record in (*records, *claims) for file in files_of(record)}
    named = records or claims
    begun = named or (folder / CLAIMS).exists() or parts_of(folder, CLAIMS)  # killed before either
    return files | {RECORDS, CLAIMS, PAGE} if begun else files


def own_files(folder: Path) -> set[Path]:
    """The results in a folder, if it is one of results; nothing where its records cannot be read."""
    try:
        return {folder / file for file in owned_files(folder, *read_folder(folder))}
    except InputError:
        return set()


def lines_of(path: Path) -> Iterator[AnswerRecord]:
    """The lines of a file of ours; the last may be cut short where its writer was killed.

    Raises:
        InputError: another line is not one of ours.
    """
    if not path.is_file():
        return
    *whole, _ = read_text(path).split("\n")
    for number, line in enumerate(whole, start=1):
        name = f"{path}, line {number}"
        record = as_object(parse_json(line, name, file_names=True), name)
        if not isinstance(record.get("files"), dict | list):
            raise InputError(name, "no `files`", "a record of `lookharder predict`")
        if (start := PurePosixPath(str(record.get("name")))).is_absolute() or ".." in start.parts:
            raise InputError(name, f"name {str(start)!r}", "one that stays in the folder")
        yield _here(record)


def files_of(record: AnswerRecord) -> list[str]:
    """The files of a record or a claim; names that no result has are not believed."""
    named, start = record["files"], "{1}.{0}.".format(*key_of(record))
    files = named.values() if isinstance(named, dict) else named
    return [file for file in files if isinstance(file, str) and file.startswith(start)]


def key_of(record: AnswerRecord) -> Key:
    """What tells results of a folder apart."""
    return str(record.get("task")), str(record.get("name"))


def line_of(record: AnswerRecord) -> str:
    """A record as a file has it: names by their bytes as UTF-8, whatever the locale made of them."""
    text = json.dumps(record, allow_nan=False, ensure_ascii=False)
    same = text.encode(errors="surrogateescape").decode(errors="surrogateescape")
    return json.dumps(json.loads(same)) + "\n"


def _here(record: AnswerRecord) -> AnswerRecord:
    """A record of a file, its names as this process has them: what `line_of` did, undone."""
    named: AnswerRecord = json.loads(as_named_here(json.dumps(record, ensure_ascii=False)))
    return named
