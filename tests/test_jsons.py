"""One door for JSON: bounded, unambiguous, and only what can be written again."""

import json
import os
import threading

import pytest

from lookharder.config import read_as
from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.errors import InputError, printable
from lookharder.jsons import DEPTH, DIGITS, as_object, parse_json, read_json, read_lines


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "depth"),
        ("[" * (DEPTH + 2) + "]" * (DEPTH + 2), "deep"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "deep|depth"),
        ('{"a": 1, "b": 2, "a": 3}', "twice: 'a'"),
        ('{"x": [NaN]}', "NaN"),
        ("[-Infinity]", "Infinity"),
        ("1e400", "too large"),
        ("9" * (DIGITS + 1), "41 digits"),
        ("9" * 5000, "5000 digits"),
        (r'["\ud800"]', "surrogates"),
        (r'{"\udc00": 1}', "surrogates"),
        ("{", "not JSON"),
        ("", "not JSON"),
        (b"\xff\xfe{}", "not JSON|JSON"),
    ],
)
def test_what_is_refused(text, says):
    with pytest.raises(InputError, match=says) as caught:
        parse_json(text, "a.json")
    assert str(caught.value).startswith("a.json: got ") and "\n" not in str(caught.value)


def test_bytes_of_file_names_are_text_only_where_names_are_asked_for():
    name = os.fsdecode(b"caf\xe9.png")
    text = json.dumps({name: [name]})
    assert parse_json(text, "x", file_names=True) == {name: [name]}
    for refused, asked in ((text, False), (r'["\ud800"]', True), (r'{"\udc00": 1}', True)):
        with pytest.raises(InputError, match="surrogates"):
            parse_json(refused, "x", file_names=asked)


def test_what_is_read(tmp_path):
    deep = "[" * DEPTH + "]" * DEPTH
    parse_json(deep, "deep")
    assert parse_json('{"a": [1, 2.5, "é\U0001f600", null, true]}', "x")["a"][2] == "é\U0001f600"
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n{"a": 2}\r\n')
    assert list(read_lines(path)) == [(1, {"a": 1}), (3, {"a": 2})]
    with pytest.raises(InputError, match="object"):
        as_object([1], "x")


def test_only_regular_files_of_text_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "latin").write_bytes(b'"\xe9"')
    for path, says in (
        (tmp_path / "none", "no such file"),
        (tmp_path, "a folder"),
        (tmp_path / "pipe", "a pipe or device"),
        ("/dev/zero", "a pipe or device"),
        (tmp_path / "latin", "UTF-8"),
    ):
        done = threading.Event()

        def ask(path=path, says=says, done=done):
            with pytest.raises(InputError, match=says):
                read_json(path)
            done.set()

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        assert done.wait(20), f"{path} hangs"


def test_numbers_and_unions_of_configurations(tmp_path):
    path = tmp_path / "s.json"
    path.write_text('{"name": {"a": 1}}')
    with pytest.raises(InputError, match="name"):
        read_as(NoiseSchedule, path)


def test_text_from_files_is_shown_as_text():
    assert printable("a\x1b[31mb\nc\u202ed\ud800é[/x]") == r"a\x1b[31mb\nc\u202ed\ud800é[/x]"
    assert "\x1b" not in str(InputError("a\x1b", "b\n", "c\r"))
