"""
Writes the pages of `docs/models/` from the model classes, or checks that they are up to date.

    python -m liangxin._tools.generate_models [--check]

A page for each family, and a list of all models.  Pages that a person writes stand elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from liangxin.models import ModelFacts, catalogue
from liangxin.models._known import FAMILIES
from liangxin.models._table import documented_share, field_rows, slug_row

FOLDER = Path(__file__).parents[2] / "docs" / "models"

HEADER = "<!-- Generated from liangxin/models. Do not edit; run: nox -s generate -->\n"

TITLES = {
    "seedream": "Seedream",
    "z_image": "Z-Image",
    "google": "Nano Banana, Gemini and Imagen",
    "flux": "Flux",
    "kling": "Kling",
    "wan": "WAN",
    "seedance": "Seedance",
    "veo": "Veo",
    "runway": "Runway",
}

LEGEND = """\
**documented** is what LiangXin's own page states; *inferred* is what is known from elsewhere, from
the upstream that the service evidently forwards to, or from a sister model. Breaking a documented
limit raises `InputError`, breaking an inferred one warns.
"""


def pages() -> dict[str, str]:
    """The text of every page, by the name of its file."""
    known = {row.name: row for row in catalogue()}
    families = {
        f"{family}.md": _family(TITLES[family], [known[name] for name in names])
        for family, names in FAMILIES.items()
    }
    return {"index.md": _index(known), **families}


def _index(known: dict[str, ModelFacts]) -> str:
    columns = ("model", "slug", "slug is", "makes", "operation", "fields documented")
    rows = []
    for family, names in FAMILIES.items():
        for row in (known[name] for name in names):
            slug, how = slug_row(row)
            link = f"[`{row.name}`]({family}.md#{row.name.lower()})"
            share = documented_share(row)
            rows.append((link, _code(slug), _mark(how), row.kind, row.operation, share))
    lines = [HEADER, f"# All {len(rows)} models", "", LEGEND, *_table(columns, rows), ""]
    lines += ["```{toctree}", ":maxdepth: 1", "", *FAMILIES, "```"]
    return "\n".join(lines) + "\n"


def _family(title: str, models: Iterable[ModelFacts]) -> str:
    lines = [HEADER, f"# {title}", "", LEGEND]
    for known in models:
        lines += [*_model(known), ""]
    return "\n".join(lines).rstrip() + "\n"


def _model(known: ModelFacts) -> Iterator[str]:
    slug, how = slug_row(known)
    yield f"## {known.name}"
    yield ""
    yield known.summary
    yield ""
    yield f"- Title: {known.title}"
    yield f"- Slug: {_code(slug) or 'none'}, {_mark(how)}" + _how_to_name(known)
    yield f"- Page: {_code(known.page or '') or 'none is known'}"
    for rule in known.rules:
        yield f"- Together: {rule.words} ({_mark(rule.provenance)})"
    yield ""
    columns = ("field", "type", "default", "known", "takes")
    yield from _table(
        columns,
        [
            (
                _code(row.field),
                row.type,
                _code(row.default),
                _mark(row.known),
                ". ".join(part for part in (row.takes, row.notes) if part),
            )
            for row in field_rows(known)
        ],
    )


def _how_to_name(known: ModelFacts) -> str:
    if known.slug is not None:
        return ""
    return f"; say it by `slug=`, or by `models.configure({{models.{known.name}: …}})`"


def _mark(known: str) -> str:
    return f"**{known}**" if known == "documented" else f"*{known}*"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def main(arguments: list[str], folder: Path = FOLDER) -> int:
    """Write the pages, or compare; the exit code says whether they are up to date."""
    if arguments not in ([], ["--check"]):
        raise SystemExit("usage: python -m liangxin._tools.generate_models [--check]")
    wanted = pages()
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    stale = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    for name in stale:
        if arguments:
            print(f"docs/models/{name} is stale; run: nox -s generate")
        elif name in wanted:
            folder.mkdir(exist_ok=True)
            (folder / name).write_text(wanted[name], encoding="utf-8")
            print(f"wrote docs/models/{name}")
        else:
            (folder / name).unlink()
            print(f"removed docs/models/{name}")
    return 1 if arguments and stale else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
