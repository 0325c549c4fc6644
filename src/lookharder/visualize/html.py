"""HTML pages from the templates beside this module: no scripts, no network; they open from disk, in light and in dark.

    templates/page.html.j2       what all pages share, with the one stylesheet, page.css
             /gallery.html.j2    sections of a table and cards; a card is images side by side, with figures below
             /report.html.j2     a report of studies, see `lookharder.report`

All text is escaped by the template engine. Links of a gallery are relative to it, so its folder may be moved.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lookharder.files import atomic


@dataclass(frozen=True, kw_only=True)
class PageImage:
    """One image of a card.

    Attributes:
        file: path relative to the page.
        caption: what it shows.
    """

    file: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class GalleryCard:
    """Images that belong together, and figures about them.

    Attributes:
        title: what they are of.
        pictures: side by side.
        facts: name -> figure.
        downloads: files to offer by name.
        compare: two files of one size, the second over the first up to a line that is drawn by hand; or none.
    """

    title: str
    pictures: Sequence[PageImage]
    facts: Mapping[str, str] = field(default_factory=dict)
    downloads: Sequence[str] = ()
    compare: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text under columns; the first column names the row."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a gallery."""

    heading: str = ""
    text: str = ""
    table: Table | None = None
    cards: Sequence[GalleryCard] = ()


def write_page(path: str | Path, template: str, **values: Any) -> None:
    """Fill a template with values and write the page, whole or not at all.

    Args:
        path: the file.
        template: a file in the folder `templates`.
        **values: what the template names.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["base64"] = lambda text: b64encode(text.encode()).decode()
    environment.filters["link"] = lambda name: quote(name, errors="surrogateescape")
    page = environment.get_template(template).render(**values)
    with atomic(path) as aside:
        # a file name may hold bytes that are no text; in a caption they become question marks
        aside.write_bytes(page.encode("utf-8", "replace"))


def write_gallery(path: str | Path, *, title: str, lead: str, sections: Sequence[Section]) -> None:
    """Write a page of images.

    Args:
        path: of the page, usually `index.html`.
        title: of the page.
        lead: one sentence under the title.
        sections: what it shows.
    """
    write_page(path, "gallery.html.j2", title=title, lead=lead, sections=sections)
