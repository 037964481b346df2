"""
The contact sheet: results as one HTML page that needs nothing else, neither a server nor a network.

Pure: entries go in, text comes out.  Prompts and errors are other people's words, so every one is
escaped, and the page's own policy lets the browser run and style only what is written here.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from attrs import frozen

from liangxin._tasks import Kind
from liangxin._text import printable

_JOINERS = frozenset("\u200c\u200d")
"""Neither printable nor harmful: they hold emoji and the letters of some scripts together."""


@frozen(kw_only=True)
class SheetEntry:
    """
    One result, or the failure that stands in its place.

    `title` is the model's name for people, `model` the one it is called by.  `state` is the task's
    last state, `error` says in words why there is no result.  `file` is the result's name relative
    to the page, with `/` between folders.  `seconds` is how long it took.  `facts` are shown below
    in order, as names and values.
    """

    title: str
    model: str
    prompt: str
    state: str
    kind: Kind = "image"
    file: str | None = None
    error: str | None = None
    seconds: float | None = None
    task_id: str | None = None
    facts: Sequence[tuple[str, str]] = ()


def contact_sheet(entries: Iterable[SheetEntry], *, title: str, note: str = "") -> str:
    """Return the page that shows all entries in order, below a title and a line of explanation."""
    shown = list(entries)
    cards = "\n".join(_card(number, entry) for number, entry in enumerate(shown, start=1))
    policy = (
        "default-src 'none'; img-src 'self' file:; media-src 'self' file:; "
        f"style-src '{_hash_of(_STYLE)}'; script-src '{_hash_of(_SCRIPT)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{_text(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{_text(title)}</h1>
<p>{_text(" · ".join(part for part in (_summary(shown), note) if part))}</p>
</header>
<main>
<ol class="sheet">
{cards}
</ol>
</main>
{_LIGHTBOX}
<script>{_SCRIPT}</script>
</body>
</html>
"""


# --- one entry ---------------------------------------------------------------------------------


def _card(number: int, entry: SheetEntry) -> str:
    return f"""<li class="card {_standing(entry)}" id="item-{number}" \
data-kind="{_text(entry.kind)}" data-model="{_text(entry.model)}" data-state="{_text(entry.state)}">
<figure>
{_media(entry)}
<figcaption>
<p class="prompt" dir="auto">{_text(entry.prompt)}</p>
<p class="model">{_text(entry.title)}</p>
{_facts(entry)}
</figcaption>
</figure>
</li>"""


def _standing(entry: SheetEntry) -> str:
    """The class of a card: how its entry stands, as far as its looks go."""
    if entry.error is not None or entry.state == "fail":
        return "failed"
    return "pending" if entry.file is None else "done"


def _media(entry: SheetEntry) -> str:
    if entry.file is None:
        reason = entry.error or f"no result: the task was last seen {entry.state}"
        return f'<div class="mat empty"><p dir="auto">{_text(printable(reason, 500))}</p></div>'
    address = _address(entry.file)
    if entry.kind == "video":
        return (
            f'<div class="mat"><video src="{address}" controls muted loop playsinline '
            f'preload="metadata" aria-label="Clip by {_text(entry.title)}"></video></div>'
        )
    return (
        f'<a class="mat" href="{address}"><img src="{address}" loading="lazy" decoding="async" '
        f'alt="{_text(printable(entry.prompt, 120))}"></a>'
    )


def _facts(entry: SheetEntry) -> str:
    rows = [_fact("state", entry.state, "state")]
    if entry.seconds is not None:
        rows.append(_fact("time", _duration(entry.seconds), "time"))
    rows += [_fact(name, value) for name, value in entry.facts]
    if entry.task_id is not None:
        rows.append(_fact("task", entry.task_id, "task"))
    return f'<dl class="facts">{"".join(rows)}</dl>'


def _fact(name: str, value: str, kind: str = "fact") -> str:
    words = _text(value)
    return (
        f'<div class="{kind}"><dt>{_text(name)}</dt>'
        f'<dd dir="auto" title="{words}">{words}</dd></div>'
    )


def _summary(entries: Sequence[SheetEntry]) -> str:
    results = [entry for entry in entries if entry.file is not None]
    pictures = sum(entry.kind == "image" for entry in results)
    parts = [
        _count(pictures, "picture"),
        _count(len(results) - pictures, "clip"),
        _count(len(entries) - len(results), "without a result", plural=""),
    ]
    return " · ".join(part for part in parts if part) or "nothing here yet"


def _count(number: int, noun: str, *, plural: str = "s") -> str:
    if not number:
        return ""
    return f"{number:,} {noun}{plural if number != 1 else ''}"


def _duration(seconds: float) -> str:
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


# --- other people's words ----------------------------------------------------------------------


def _text(words: str) -> str:
    """Words as HTML, in an element or in a quoted attribute; nothing in them is obeyed."""
    lines = "\n".join(str(words).splitlines())
    return html.escape("".join(map(_legible, lines)), quote=True)


def _legible(char: str) -> str:
    return char if char.isprintable() or char == "\n" or char in _JOINERS else "\ufffd"


def _address(file: str) -> str:
    # "./" keeps a name that begins like a scheme or a host from being taken for one.
    parts = (quote(part, safe="", errors="surrogatepass") for part in file.split("/"))
    return "./" + "/".join(parts)


def _hash_of(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


# --- the page ----------------------------------------------------------------------------------

_STYLE = """
:root {
  color-scheme: light dark;
  --ground: #f5f4f0; --card: #fffffe; --mat: #e9e7e0; --line: #00000014;
  --ink: #1d1c1a; --soft: #69665f; --good: #1f7a4d; --bad: #b3261e; --focus: #3d5afe;
  --lift: 0 1px 2px #0000000d, 0 6px 20px #0000000f;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC",
    "PingFang SC", "Microsoft YaHei", sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #131417; --card: #1d1f23; --mat: #0d0e10; --line: #ffffff17;
    --ink: #ecebe7; --soft: #9c9a94; --good: #5fcf97; --bad: #ff8a80; --focus: #8c9eff;
    --lift: 0 1px 2px #00000059, 0 8px 24px #0000004d;
  }
}
* { box-sizing: border-box; margin: 0 }
body { background: var(--ground); color: var(--ink); -webkit-text-size-adjust: 100% }
header, main { max-width: 112rem; margin: 0 auto; padding: 0 clamp(1rem, 3vw, 3rem) }
header { padding-top: clamp(1.5rem, 4vw, 3.5rem); padding-bottom: clamp(1rem, 2vw, 2rem) }
h1 {
  font-size: clamp(1.6rem, 1.2rem + 1.6vw, 2.5rem); font-weight: 650;
  letter-spacing: -.02em; line-height: 1.15; overflow-wrap: anywhere;
}
header p { color: var(--soft); margin-top: .35rem }
main { padding-bottom: 4rem }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 3px }

.sheet {
  list-style: none; padding: 0; display: grid; gap: clamp(1rem, 1.6vw, 1.75rem);
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr));
}
.card {
  background: var(--card); border: 1px solid var(--line); border-radius: 14px;
  box-shadow: var(--lift); overflow: clip; min-width: 0; position: relative;
  content-visibility: auto; contain-intrinsic-size: auto 28rem;
}
figure { display: flex; flex-direction: column; height: 100% }
.mat {
  aspect-ratio: 4 / 3; background: var(--mat); padding: 14px; overflow: hidden;
  display: grid; grid-template: minmax(0, 1fr) / minmax(0, 1fr); place-items: center;
}
a.mat { cursor: zoom-in }
a.mat:focus-visible { outline-offset: -4px }
.mat img, .mat video {
  display: block; max-width: 100%; max-height: 100%; border-radius: 4px;
  box-shadow: 0 1px 3px #00000040, 0 4px 14px #00000026;
}
.mat img { transition: transform .2s ease }
a.mat:hover img { transform: scale(1.015) }
.mat.empty { color: var(--soft); text-align: center; font-size: .95rem; overflow: auto }
.mat.empty p { max-width: 32ch; overflow-wrap: anywhere }
.failed .mat.empty { color: var(--bad) }
.mat.empty p::before { content: "…"; display: block; font-size: 1.6rem; line-height: 1.6 }

figcaption { padding: 1rem 1.15rem 1.1rem; display: flex; flex-direction: column; flex: 1 }
.prompt { font-size: 1.02rem; line-height: 1.45; white-space: pre-wrap; overflow-wrap: anywhere }
.card .prompt {
  display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 5; overflow: hidden;
  margin-bottom: .8rem;
}
.model { font-size: .9rem; font-weight: 600; margin-top: auto; overflow-wrap: anywhere }
.facts {
  display: flex; flex-wrap: wrap; gap: .1rem .85rem; margin-top: .3rem;
  font-size: .8rem; color: var(--soft); font-variant-numeric: tabular-nums;
}
.facts div { display: flex; gap: .35em; min-width: 0; max-width: 100% }
.facts dd { overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.fact dd { color: var(--ink) }
.state dt, .time dt, .task dt {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
}
.done .state dd { color: var(--good) }
.state dd::before { content: "●"; font-size: .6em; margin-right: .45em; vertical-align: .2em }
.failed .mat.empty p::before { content: "✕" }
.failed .state dd { color: var(--bad) }
.task { flex-basis: 100% }
.task dd { font: .95em/1.7 ui-monospace, "SF Mono", Menlo, Consolas, monospace }

dialog {
  border: 0; padding: 0; width: 100vw; height: 100dvh; max-width: none; max-height: none;
  background: #0b0b0df5; color: #f2f1ed; overflow: hidden;
}
dialog[open] { display: grid; grid-template-rows: minmax(0, 1fr) auto }
dialog::backdrop { background: #000 }
.stage {
  display: grid; grid-template: minmax(0, 1fr) / minmax(0, 1fr); place-items: center;
  padding: clamp(.5rem, 2vw, 2rem) clamp(.5rem, 5vw, 5rem) 0; min-height: 0;
}
.stage img, .stage video { max-width: 100%; max-height: 100%; border-radius: 4px }
.about { padding: 1rem clamp(1rem, 5vw, 5rem) 1.4rem; max-height: 34dvh; overflow: auto }
.about .prompt { max-width: 80ch; margin: 0 auto; text-align: center }
.about .note { color: #b5b3ac; font-size: .85rem; text-align: center; margin-top: .35rem }
dialog button {
  position: fixed; width: 2.75rem; height: 2.75rem; border-radius: 50%; border: 0;
  background: #ffffff1f; color: inherit; font: 1.4rem/1 system-ui, sans-serif; cursor: pointer;
  display: grid; place-items: center; backdrop-filter: blur(8px);
}
dialog button:hover { background: #ffffff3d }
.close { top: .8rem; right: .8rem }
.previous { left: .8rem; top: 45% }
.next { right: .8rem; top: 45% }
@media (max-width: 48rem) {
  .previous { left: .8rem; top: .8rem }
  .next { left: 4.2rem; right: auto; top: .8rem }
  .stage { padding-top: 4.2rem }
}
@media (prefers-reduced-motion: reduce) { .mat img { transition: none } }
@media print { .card { break-inside: avoid; box-shadow: none; content-visibility: visible } }
"""

_LIGHTBOX = """<dialog aria-label="One result, enlarged">
<div class="stage"></div>
<div class="about" aria-live="polite"><p class="prompt" dir="auto"></p><p class="note"></p></div>
<button class="previous" type="button" aria-label="Previous result">‹</button>
<button class="next" type="button" aria-label="Next result">›</button>
<button class="close" type="button" aria-label="Close">✕</button>
</dialog>"""

_SCRIPT = """
"use strict";
(() => {
  const sheet = document.querySelector(".sheet");
  const dialog = document.querySelector("dialog");
  const part = (name) => dialog.querySelector(name);
  const words = (card, name) => card.querySelector(name)?.textContent ?? "";
  const results = () =>
    [...sheet.children].filter((card) => !card.hidden && card.querySelector("img, video"));
  const main = document.querySelector("main");
  let current = null;
  let scrolled = 0;

  function show(card) {
    current = card;
    const media = card.querySelector("img, video").cloneNode();
    media.removeAttribute("loading");
    part(".stage").replaceChildren(media);
    part(".prompt").textContent = words(card, ".prompt");
    part(".note").textContent = [".model", ".state dd", ".time dd"]
      .map((name) => words(card, name)).filter(Boolean).join(" · ");
    if (dialog.open) return;
    // A modal dialog makes all else inert: with 10,000 cards laid out, Chromium takes seconds.
    scrolled = scrollY;
    main.hidden = true;
    dialog.showModal();
  }

  function step(by) {
    const all = results();
    show(all[(all.indexOf(current) + by + all.length) % all.length]);
  }

  sheet.addEventListener("click", (event) => {
    const link = event.target.closest("a.mat");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    show(link.closest(".card"));
  });
  part(".previous").addEventListener("click", () => step(-1));
  part(".next").addEventListener("click", () => step(1));
  part(".close").addEventListener("click", () => dialog.close());
  part(".stage").addEventListener("click", (event) => {
    if (event.target === event.currentTarget) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.tagName === "VIDEO") return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  dialog.addEventListener("close", () => {
    part(".stage").replaceChildren();
    main.hidden = false;
    scrollTo(0, scrolled);
    current.querySelector("a.mat, video")?.focus();
  });
})();
"""
