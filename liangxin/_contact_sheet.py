"""
The contact sheet's file: what outcomes or a folder of results have to show, as one page.

A folder tells about itself: the ledger says what was asked for and what became of it, the lines of
the last run say what else happened, a manifest says which files there are.  Each is read if it is
there.  No file is shown that is not in the folder, whatever these say.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from attrs import evolve

from liangxin._endings import PICTURES, is_clip, media_type
from liangxin._errors import InputError, LedgerLocked
from liangxin._outcomes import model_of, money_of, prompt_of, seconds_of
from liangxin._sheet import GENERATOR, SheetEntry, sheet
from liangxin._tasks import Outcome
from liangxin.batch._lines import ERRORS, MANIFEST, RESULTS
from liangxin.ledger import Ledger, LedgerRow, LedgerState, is_address
from liangxin.models._known import by_slug

PAGE: Final = "index.html"
LEDGER: Final = "ledger.db"

_STATE_OF_MONEY = {"maybe paid": "in doubt", "refused": "refused", "nothing": "not created"}
_STATE_OF_ROW = {
    LedgerState.PLANNED: "not created",
    LedgerState.AMBIGUOUS: "in doubt",
    LedgerState.SUCCEEDED: "success",
    LedgerState.DOWNLOADED: "success",
    LedgerState.FAILED: "fail",
}
_SAID_WHY = frozenset(
    {LedgerState.REFUSED, LedgerState.AMBIGUOUS, LedgerState.FAILED, LedgerState.ABANDONED}
)
_SETTLED_ELSEWHERE = frozenset({"AmbiguousCreate", "TaskFailed"})
"""Errors of a line that `liangxin ledger` may have settled since."""

_Facts = dict[str, object]
"""What is known of one request, under the names that `results.jsonl` uses."""


def contact_sheet(
    results: Iterable[Outcome] | str | os.PathLike[str],
    path: str | os.PathLike[str] | None = None,
    *,
    title: str | None = None,
    ledger: str | os.PathLike[str] | None = None,
) -> Path:
    """
    Write one HTML page that shows all results, and return its path.

    `results` are outcomes, or the folder that a batch has filled (or any folder of pictures and
    clips).  `path` is the page; of a folder it is `index.html` inside, unless given.  `title`
    stands at its head.  `ledger` is the file of the batch's ledger (default: `ledger.db` in the
    folder, if it is there): what was asked for is read from it, so while a batch still runs, the
    page has no prompts.

    The page needs no network, and its files beside it: it links to them and holds none of them.
    It appears whole or not at all, in place of an earlier one; any other file of that name stays,
    and raises `InputError`.
    """
    if not isinstance(results, str | os.PathLike):
        if path is None or ledger is not None:
            raise InputError(
                "a sheet of outcomes needs a path, and takes no ledger",
                field="path" if path is None else "ledger",
                value=path if path is None else ledger,
                allowed="contact_sheet(outcomes, path)",
            )
        page = Path(path)
        entries = (
            entry for outcome in results for entry in _entries_of(_told_by(outcome), page.parent)
        )
        return _write(page, entries, title or "Results")
    folder = Path(results)
    if not folder.is_dir():
        raise InputError(
            f"{folder} is no folder", field="results", value=str(folder), allowed="a folder"
        )
    page = folder / PAGE if path is None else Path(path)
    known = _known_in(folder, ledger)
    entries = (entry for facts in known for entry in _entries_in(folder, facts, page.parent))
    return _write(page, entries, title or folder.resolve().name)


# --- what outcomes say -------------------------------------------------------------------------


def _told_by(outcome: Outcome) -> _Facts:
    task, error = outcome.task, outcome.error
    return {
        "id": outcome.key,
        "task_id": task.id if task else None,
        "model": model_of(outcome),
        "prompt": prompt_of(outcome),
        "state": task.state.value if task else _STATE_OF_MONEY.get(money_of(outcome)),
        "seconds": seconds_of(task),
        "message": str(error) if error else None,
        "files": [str(path) for path in outcome.files],
    }


# --- what a folder says ------------------------------------------------------------------------


def _known_in(folder: Path, ledger: str | os.PathLike[str] | None) -> Iterator[_Facts]:
    """All that is known of each request: the ledger's in their order, then those of other files."""
    told: dict[str, list[str]] = {}  # as text, which is far smaller than what it says
    lines_of = (folder.glob(f"{name}*.jsonl") for name in (RESULTS, ERRORS))
    for path in (folder / MANIFEST, *(each for found in lines_of for each in sorted(found))):
        for line in _lines(path):
            key = _key_in(_facts_in(line))
            if key is not None:
                told.setdefault(key, []).append(line)
    is_bare = not told
    for row in _rows(folder, ledger):
        is_bare = False
        yield _joined(_together(told.pop(row.key, [])), row)
    yield from map(_together, told.values())
    if is_bare:
        for file in sorted(folder.iterdir()):
            if media_type(file.name) and not _is_poster(file):
                yield {"id": file.name, "files": [file.name]}


def _lines(path: Path) -> Iterator[str]:
    with suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace") as file:
        yield from file


def _facts_in(line: str) -> _Facts:
    """What a line of JSON says; nothing, if it was cut or is no object."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _key_in(facts: _Facts) -> str | None:
    named = facts.get("id") or facts.get("key") or facts.get("task_id")
    return named if isinstance(named, str) else None


def _together(lines: Iterable[str]) -> _Facts:
    """What several lines say of one request; a later one is right where they differ."""
    told: _Facts = {}
    files: dict[str, None] = {}
    for line in lines:
        said = _facts_in(line)
        file = said.get("file")
        if isinstance(file, str):  # a manifest has a line for each
            files[file] = None
            said["files"] = [*files]
        told |= said
    return told


def _rows(folder: Path, named: str | os.PathLike[str] | None) -> Iterator[LedgerRow]:
    """The rows of the ledger that was named, or else of the folder's, if it is there and free."""
    place = folder / LEDGER if named is None else named
    if not is_address(place) and not os.path.isfile(place):
        if named is None:
            return
        raise InputError(f"{named} is no ledger", field="ledger", value=str(named))
    ledger = Ledger(place)
    try:
        ledger.open()
    except LedgerLocked:
        if named is None:
            return
        raise
    with ledger:
        yield from ledger.rows()


def _joined(line: _Facts, row: LedgerRow) -> _Facts:
    """What a line and a row say together; the row is right where they differ, as it is newer."""
    told: _Facts = {
        "id": row.key,
        "model": row.model,
        "state": _STATE_OF_ROW.get(row.state, row.state.value),
    }
    prompt = (row.input or {}).get("prompt")
    known = {"prompt": prompt, "task_id": row.task_id, "files": list(row.files) or None}
    told |= {name: value for name, value in known.items() if value is not None}
    if row.sent_at is not None and row.ended_at is not None:
        told["seconds"] = row.ended_at - row.sent_at
    if row.state in _SAID_WHY and row.reason is not None:
        told["message"] = row.reason
    elif row.state not in _SAID_WHY and line.get("error") in _SETTLED_ELSEWHERE:
        told["message"] = None
    return {**line, **told}


# --- entries -----------------------------------------------------------------------------------


def _entries_in(folder: Path, facts: _Facts, beside: Path) -> Iterator[SheetEntry]:
    """The entries of one request, with those of its files that are in the folder."""
    named = facts.get("files")
    names = (
        [Path(each) for each in named if isinstance(each, str)] if isinstance(named, list) else []
    )
    # os.path.isfile() says no of every name that no file can have; Path.is_file() raises for some.
    files = [
        str(folder / name)
        for name in names
        if not name.is_absolute() and ".." not in name.parts and os.path.isfile(folder / name)
    ]
    return _entries_of({**facts, "files": files}, beside)


def _entries_of(facts: _Facts, beside: Path) -> Iterator[SheetEntry]:
    """An entry for each file of a request, or one for the lack of any."""
    model, files = _word(facts, "model"), facts["files"]
    assert isinstance(files, list)
    state = _STATE_OF_MONEY.get(_word(facts, "money"), "success" if files else "unknown")
    entry = SheetEntry(
        title=_title(model),
        model=model,
        prompt=_word(facts, "prompt"),
        state=_word(facts, "state") or state,
        key=_word(facts, "id") or _word(facts, "key") or None,
        error=_word(facts, "message") or None,
        seconds=_seconds(facts.get("seconds")),
        task_id=_word(facts, "task_id") or None,
    )
    for number, file in enumerate(files, start=1):
        of_several = [("result", f"{number} of {len(files)}")] if len(files) > 1 else []
        shown, poster = _link(Path(file), beside), _poster_of(Path(file))
        yield evolve(
            entry,
            file=shown,
            poster=_link(poster, beside) if poster else None,
            facts=of_several,
        )
    if not files:
        yield entry


def _word(facts: _Facts, name: str) -> str:
    value = facts.get(name)
    return value if isinstance(value, str) else ""


def _seconds(told: object) -> float | None:
    """A duration that makes sense: clocks are set back, and JSON knows infinity."""
    return float(told) if isinstance(told, int | float) and 0 <= told < 1e9 else None


def _title(model: str) -> str:
    """The name for people of a model, if it is known here."""
    known = by_slug(model)
    return known[0].title if len(known) == 1 else model


def _link(file: Path, beside: Path) -> str | None:
    """A file as a page in the folder `beside` names it; None on another drive."""
    try:
        return Path(os.path.relpath(file, beside)).as_posix()
    except ValueError:
        return None


def _poster_of(file: Path) -> Path | None:
    """The still beside a clip: `fog.poster.jpg` of `fog.mp4`."""
    if not is_clip(file.name):
        return None
    stills = (file.with_suffix(f".poster{ending}") for ending in PICTURES)
    return next((still for still in stills if still.is_file()), None)


def _is_poster(file: Path) -> bool:
    return Path(file.stem).suffix == ".poster"


# --- the file ----------------------------------------------------------------------------------


def _write(page: Path, entries: Iterable[SheetEntry], title: str) -> Path:
    """Write the page whole, in place of an earlier one and of nothing else."""
    _refuse_strangers(page)
    page.parent.mkdir(parents=True, exist_ok=True)
    part = page.with_name(f".{page.name}.{secrets.token_hex(8)}.part")
    try:
        with part.open("x", encoding="utf-8", newline="\n") as file:
            file.writelines(sheet(entries, title=title))
            file.flush()
            os.fsync(file.fileno())
        part.replace(page)
    finally:
        part.unlink(missing_ok=True)
    return page


def _refuse_strangers(page: Path) -> None:
    with suppress(FileNotFoundError), page.open(encoding="utf-8", errors="replace") as file:
        if GENERATOR in file.read(500):
            return
        raise InputError(
            f"{page} is no contact sheet and stays as it is: give the sheet another path",
            field="path",
            value=str(page),
            allowed="a new file, or an earlier sheet",
        )
