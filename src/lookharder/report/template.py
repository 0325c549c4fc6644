"""The page: its style and its template. No scripts, no network; in light and in dark, on a desk and on a phone."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d1f24; --soft: #5d6675; --line: #e2e5ea; --page: #fff;
  --card: #f6f7f9; --accent: #0b5a9c; --yes: #00724f; --no: #b34700; --open: #5d6675; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaee; --soft: #9aa3b2; --line: #2c313a;
  --page: #14161a; --card: #1c1f25; --accent: #7db8ec; --yes: #4fd0a5; --no: #ff9a57;
  --open: #9aa3b2; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 72rem; background: var(--page);
  color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
h1 { margin: 0 0 .4rem; font: 600 2rem/1.2 Charter, Georgia, serif; letter-spacing: -.01em; }
h2 { margin: 3.25rem 0 .2rem; padding-top: 1.4rem; border-top: 1px solid var(--line);
  font: 600 1.45rem/1.25 Charter, Georgia, serif; }
h2 small { font: 400 .85rem system-ui, sans-serif; color: var(--soft); margin-left: .5rem; }
h3 { margin: 1.9rem 0 .5rem; font-size: 1rem; }
p { margin: .25rem 0 .9rem; max-width: 44rem; }
.soft, figcaption, nav { color: var(--soft); }
.question { font: italic 1.05rem/1.5 Charter, Georgia, serif; }
.missing { border-left: 3px solid var(--no); padding-left: .75rem; font-size: .9rem; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
nav { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin: 1rem 0 0; font-size: .9rem; }
code { font: .82em/1.4 ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
pre { margin: .4rem 0 1rem; padding: .7rem .9rem; background: var(--card); border-radius: .4rem;
  overflow-x: auto; font-size: .95rem; }
dl { display: flex; flex-wrap: wrap; gap: .15rem 1.6rem; margin: .8rem 0 0; font-size: .9rem; }
dl div { display: flex; gap: .45rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.grid + .grid, .scroll + .grid, .grid + p { margin-top: 1.4rem; }
.grid { display: grid; gap: 1.4rem; grid-template-columns: repeat(auto-fill, minmax(min(27rem, 100%), 1fr)); }
figure { margin: 0; }
.plot { display: block; width: 100%; max-width: 38rem; height: auto; padding: .5rem; background: #fff;
  border: 1px solid var(--line); border-radius: .4rem; }
figcaption { margin-top: .4rem; font-size: .82rem; line-height: 1.45; }
figcaption b { color: var(--ink); }
.scroll { overflow-x: auto; -webkit-overflow-scrolling: touch; }
table { border-collapse: collapse; font-size: .86rem; line-height: 1.4;
  font-variant-numeric: tabular-nums; border-top: 1.5px solid var(--ink);
  border-bottom: 1.5px solid var(--ink); }
th, td { padding: .35rem .9rem .35rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); white-space: nowrap; font-weight: 400; }
thead th { color: var(--soft); vertical-align: bottom; border-bottom-color: var(--soft); }
.claims { width: 100%; }
.claims th, .claims td { white-space: normal; }
.claims tbody th { min-width: 12rem; font-weight: 600; }
.claims .num { white-space: nowrap; }
.claims .how { min-width: 15rem; color: var(--soft); }
.verdict { min-width: 8.5rem; font-weight: 600; color: var(--open); }
.holds { color: var(--yes); } .does-not-hold { color: var(--no); }
td small, th small { display: block; font-weight: 400; font-size: .92em; color: var(--soft); white-space: normal; }
.strip th, .strip td { padding: .2rem .3rem .2rem 0; border: 0; vertical-align: bottom; }
.strip { border: 0; font-size: .76rem; }
.strip thead th { white-space: normal; max-width: 7rem; color: var(--ink); }
.strip img { display: block; width: 7rem; height: auto; image-rendering: pixelated;
  border-radius: .2rem; }
details { margin: 1.1rem 0; }
summary { cursor: pointer; color: var(--accent); }
.runs { font-size: .78rem; }
.families { font-size: .76rem; }
.families td:last-child { white-space: normal; min-width: 11rem; text-align: left; }
@media (max-width: 44rem) {
  body { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.6rem; }
  .claims, .claims tbody, .claims tr, .claims td, .claims tbody th { display: block; }
  .claims thead { display: none; }
  .claims tr { padding: .65rem 0; border-bottom: 1px solid var(--line); }
  .claims td, .claims tbody th { padding: .06rem 0; border: 0; min-width: 0; }
  .claims td[data-label]:not(:empty)::before { content: attr(data-label) ": "; color: var(--soft);
    font-weight: 400; }
  .claims td:empty { display: none; }
  .plot { padding: .2rem; }
  .strip img { width: 5.2rem; }
  .strip thead th { max-width: 5.2rem; }
}
@media print { details, .scroll { overflow: visible; } figure, tr { break-inside: avoid; } }
"""

PAGE = """{% macro figures(items) %}
<div class="grid">
{% for item in items %}
<figure id="figure-{{ item.number }}">
<img class="plot" src="data:image/svg+xml;base64,{{ item.svg }}" alt="{{ item.alt }}"
  width="{{ item.width }}" height="{{ item.height }}">
<figcaption><b>Figure {{ item.number }}.</b> {{ item.caption }} To reproduce: <code>{{ item.how }}</code></figcaption>
</figure>
{% endfor %}
</div>
{% endmacro %}
{% macro grid(table, kind) %}
<div class="scroll" tabindex="0"><table class="{{ kind }}">
<thead><tr>{% for name in table.columns %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in table.rows %}
<tr><th scope="row">{{ row[0] }}</th>{% for cell in row[1:] %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% endmacro %}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style | safe }}</style>
</head>
<body>
<header><h1>{{ title }}</h1>
<p>{{ lead }}</p>
<dl>{% for name, value in facts.items() %}<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>{% endfor %}</dl>
<nav><a href="#claims">Claims</a>
{% for section in sections %}<a href="#{{ section.id }}">{{ section.title }}</a>
{% endfor %}
{% if planner %}<a href="#budgets">Budgets</a>{% endif %}
<a href="#conventions">Conventions</a></nav>
</header>
<main>
<section id="claims"><h2>What was claimed, and what holds here</h2>
<p>{{ claims_lead }}</p>
{% if claims %}
<table class="claims">
<thead><tr><th scope="col">claim</th><th scope="col">paper</th><th scope="col">measured here</th>
<th scope="col">compared</th><th scope="col">seeds</th><th scope="col">here</th></tr></thead>
<tbody>
{% for row in claims %}
<tr><th scope="row">{{ row.says }}<small>{{ row.source }}</small></th>
<td data-label="paper" class="num">{{ row.printed }}</td>
<td data-label="measured" class="num">{{ row.measured }}</td>
<td data-label="compared" class="how">{{ row.compared }}</td>
<td data-label="seeds" class="num">{{ row.seeds }}</td>
<td class="verdict {{ row.verdict | replace(' ', '-') }}">{{ row.mark }} {{ row.verdict }}
{% if row.why %}<small>{{ row.why }}</small>{% endif %}</td></tr>
{% endfor %}
</tbody></table>
{% endif %}
{% if forest %}<h3>Gains and their intervals</h3>{{ figures([forest]) }}{% endif %}
</section>
{% for section in sections %}
<section id="{{ section.id }}"><h2>{{ section.title }}<small>{{ section.source }}</small></h2>
{% if section.question %}<p class="question">{{ section.question }}</p>
{% endif %}
{% if section.missing %}<p class="missing">{{ section.missing }}</p>
{% endif %}
{% if section.curves %}<h3>Measurements</h3>{{ figures(section.curves) }}{% endif %}
{% if section.laws %}<h3>Laws</h3>
{{ grid(section.laws, "laws") }}
{% endif %}
{% if section.law_figures %}{{ figures(section.law_figures) }}{% endif %}
{% if section.isoflop %}<h3>isoFLOP curves</h3>{{ figures(section.isoflop) }}{% endif %}
{% for note in section.notes %}<p class="soft">{{ note }}</p>
{% endfor %}
{% if section.strip %}<h3>What the networks see</h3>
<div class="scroll" tabindex="0"><table class="strip">
<thead><tr>{% for name in section.strip.titles %}
<th scope="col">{{ name }}<small>{{ section.strip.notes[loop.index0] }}</small></th>
{% endfor %}</tr></thead>
<tbody>
{% for row in section.strip.rows %}
<tr>{% for picture in row %}<td><img src="{{ picture }}" alt="scene {{ loop.index }}"></td>{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
<p class="soft">{{ section.strip_caption }} To reproduce: <code>{{ section.how }}</code></p>
{% endif %}
{% if section.runs %}
<details><summary>All {{ section.runs.rows | length }} measurements</summary>
{{ grid(section.runs, "runs") }}
</details>
{% endif %}
</section>
{% endfor %}
{% if planner %}
<section id="budgets"><h2>What a budget buys<small>ours</small></h2>
<p class="question">What error should a training of a given size on a given number of pictures reach?</p>
{{ figures([planner.figure]) }}
<h3>What the planner chooses from</h3>
{{ grid(planner.families, "families") }}
{% if planner.effects %}<h3>What effort at test time does</h3>
{{ grid(planner.effects, "effects") }}{% endif %}
{% if planner.checked %}<h3>Plans that were trained</h3>
{{ grid(planner.checked, "checked") }}
<p class="soft">Budgets that no study spent. Measured is the mean of some trainings of the plan; inside, how many
of them lie in the interval. To reproduce:
<code>python benchmarks/planner.py DIR --budgets FLOPS ... --work WORK</code></p>
{% endif %}
<p class="soft">To ask it: <code>lookharder plan laws.json --training 5e12 --explain</code></p>
</section>
{% endif %}
<section id="conventions"><h2>Conventions</h2>
{% for text in conventions %}<p>{{ text }}</p>
{% endfor %}
<h3>To reproduce everything</h3>
<pre><code>{{ commands }}</code></pre>
</section>
</main>
</body>
</html>
"""
