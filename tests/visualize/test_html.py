"""The page is well-formed, escapes what it shows, and links to what is there."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from lookharder.evaluate.evaluation import Evaluation, protocol
from lookharder.evaluate.table import score_table
from lookharder.visualize.html import GalleryCard, PageImage, Section, Table, write_gallery

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Text, links and balance of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def write(path: Path) -> Page:
    card = GalleryCard(
        title="<b>cat & dog</b>",
        pictures=[
            PageImage(file="a b#1?é.png", caption="in < out"),
            PageImage(file="z.png", caption=""),
        ],
        facts={"size": "3 x 4"},
        downloads=["a b.npy"],
    )
    table = Table(columns=("metric", "model"), rows=[("<epe>", "0.5")])
    sections = [Section(heading="One", text="words", table=table, cards=[card]), Section()]
    write_gallery(path, title="A & B", lead="lead", sections=sections)
    return Page(path.read_text(encoding="utf-8"))


def test_page_is_balanced_escaped_and_linked(tmp_path: Path):
    page = write(tmp_path / "index.html")
    text = "".join(page.words)
    for words in ("<b>cat & dog</b>", "in < out", "<epe>", "3 x 4", "A & B", "One"):
        assert words in text
    assert [unquote(link) for link in page.links[:2]] == ["a b#1?é.png", "a b#1?é.png"]
    assert page.links[-1] == "a%20b.npy"


def test_page_stands_alone_and_follows_the_reader(tmp_path: Path):
    write(tmp_path / "index.html")
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in text
    assert "http" not in text and "<script" not in text
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_names_that_are_no_text(tmp_path: Path):
    name = b"\xff.png".decode("utf-8", "surrogateescape")
    card = GalleryCard(title=name, pictures=[PageImage(file=name, caption=name)])
    write_gallery(tmp_path / "p.html", title="", lead="", sections=[Section(cards=[card])])
    page = Page((tmp_path / "p.html").read_text(encoding="utf-8"))
    assert page.links[0] == "%FF.png"


def test_score_table_sets_the_model_beside_the_trivial():
    cell = {"mean": 0.25, "low": 0.125, "high": 0.5, "count": 3}
    means = {"epe": cell, "px1": cell, "trivial.zero.epe": cell | {"mean": 3.0}}
    result = Evaluation(
        model="m",
        task="flow",
        data="d",
        protocol=protocol("flow", "d"),
        steps=1,
        members=1,
        seed=0,
        macs_per_image=1.0,
        rows=[],
        means=means,
    )
    table = score_table(result)
    assert table.columns == ("metric", "better", "model [95 %]", "zero")
    assert list(table.rows) == [
        ("epe", "lower", "0.250 [0.125, 0.500]", "3.000"),
        ("px1", "higher", "0.250 [0.125, 0.500]", ""),
    ]
