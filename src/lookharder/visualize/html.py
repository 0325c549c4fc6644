"""Pictures and figures as one HTML page: no scripts, no network; it opens from disk, in light and in dark.

    page = sections, section = a table and cards, card = pictures side by side with captions, and figures below

Links are relative to the page, so its folder may be moved. All text is escaped by the template engine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from lookharder.files import atomic


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture of a card.

    Attributes:
        file: path relative to the page.
        caption: what it shows.
    """

    file: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """Pictures that belong together, and figures about them.

    Attributes:
        title: what they are of.
        pictures: side by side.
        facts: name -> figure.
        downloads: files to offer by name.
    """

    title: str
    pictures: Sequence[Picture]
    facts: Mapping[str, str] = field(default_factory=dict)
    downloads: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text under columns; the first column names the row."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page."""

    heading: str = ""
    text: str = ""
    table: Table | None = None
    cards: Sequence[Card] = ()


def write_gallery(path: str | Path, *, title: str, lead: str, sections: Sequence[Section]) -> None:
    """Write a page, atomically.

    Args:
        path: of the page, usually `index.html`.
        title: of the page.
        lead: one sentence under the title.
        sections: what it shows.
    """
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["link"] = lambda name: quote(name, errors="surrogateescape")
    page = environment.from_string(PAGE).render(
        title=title, lead=lead, sections=sections, style=STYLE
    )
    with atomic(path) as aside:
        # a file name may hold bytes that are no text; in a caption they become question marks
        aside.write_bytes(page.encode("utf-8", "replace"))


STYLE = """
:root { color-scheme: light dark; --ink: #1d1f24; --soft: #667080; --line: #e2e5ea;
  --page: #f6f7f9; --card: #fff; --accent: #3455db; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaee; --soft: #98a1b0;
  --line: #2c313a; --page: #14161a; --card: #1c1f25; --accent: #8ea4ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 80rem; background: var(--page);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.9rem; letter-spacing: -.02em; }
h2 { margin: 2.75rem 0 .25rem; font-size: 1.3rem; letter-spacing: -.01em; }
p { margin: .25rem 0 1rem; max-width: 46rem; color: var(--soft); }
.card { margin: 1rem 0; padding: 1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .75rem; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(34rem, 100%), 1fr)); }
.cards .card { margin: 0; }
h3 { margin: 0 0 .75rem; font-size: 1rem; overflow-wrap: anywhere; }
.row { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); }
figure { margin: 0; }
figure img { display: block; width: 100%; border-radius: .4rem; background: var(--line); }
figcaption { margin-top: .35rem; font-size: .8rem; line-height: 1.35; color: var(--soft); }
dl { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .9rem 0 0; font-size: .8rem; }
dl div { display: flex; gap: .4rem; }
dt { color: var(--soft); }
dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
.files { margin: .6rem 0 0; font-size: .8rem; display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .9rem .4rem 0; text-align: left; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { font-weight: 600; }
thead th { color: var(--soft); font-weight: 500; }
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style | safe }}</style>
</head>
<body>
<header><h1>{{ title }}</h1><p>{{ lead }}</p></header>
{% for section in sections %}
<section>
{% if section.heading %}<h2>{{ section.heading }}</h2>
{% endif %}
{% if section.text %}<p>{{ section.text }}</p>
{% endif %}
{% if section.table %}
<div class="card scroll"><table>
<thead><tr>{% for name in section.table.columns %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in section.table.rows %}
<tr><th scope="row">{{ row[0] }}</th>{% for cell in row[1:] %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% endif %}
<div class="cards">
{% for card in section.cards %}
<article class="card"><h3>{{ card.title }}</h3>
<div class="row">
{% for picture in card.pictures %}
<figure><a href="{{ picture.file | link }}"><img src="{{ picture.file | link }}"
  alt="{{ card.title }}: {{ picture.caption }}" loading="lazy"></a>
  <figcaption>{{ picture.caption }}</figcaption></figure>
{% endfor %}
</div>
<dl>{% for name, value in card.facts.items() %}<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>{% endfor %}</dl>
{% if card.downloads %}
<div class="files">{% for name in card.downloads %}<a href="{{ name | link }}">{{ name }}</a>{% endfor %}</div>
{% endif %}
</article>
{% endfor %}
</div>
</section>
{% endfor %}
</body>
</html>
"""
