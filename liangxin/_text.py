"""Text from elsewhere, made fit to show: printable and short, or legible whole."""

import html
import re

_JOINERS = frozenset("\u200c\u200d")
"""Neither printable nor harmful: they hold emoji and the letters of some scripts together."""


def printable(text: object, limit: int = 200) -> str:
    """
    Return `text` on one line, without control or bidirectional characters, clipped to `limit`.

    Everything that the service or a result host wrote passes through here before an exception, a
    log line or a terminal shows it.
    """
    line = " ".join(str(text)[: 4 * limit].split())
    line = "".join(char if char.isprintable() else "�" for char in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def without_queries(text: object) -> str:
    """
    Return `text` with `?…` for the query of every web address in it, and no name before its host.

    A signature in a query, or a password before the host, opens the door to whoever reads a log.
    """
    named = re.sub(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/?#@'\"<>]*@", r"\1", str(text))
    return re.sub(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s?#'\"<>]*)[?#][^\s'\"<>]*", r"\1?…", named)


def quoted(value: object, limit: int = 100) -> str:
    """Return `repr(value)` as `printable` text, or the name of its type where repr fails."""
    try:
        return printable(repr(value), limit)
    except Exception:  # a foreign repr may do anything; an int of 4,301 digits has none either
        return printable(f"<{type(value).__name__}>", limit)


def legible(text: object) -> str:
    """
    Return all of `text`, lines kept, with a mark in place of each character that nobody sees.

    For pages: control and bidirectional characters could make words read as others than they are.
    """
    lines = "\n".join(str(text).splitlines())
    return lines if lines.isprintable() else "".join(map(_seen, lines))


def _seen(char: str) -> str:
    if char.isprintable() or char == "\n" or char in _JOINERS:
        return char
    return " " if char.isspace() else "\ufffd"


def as_html(text: object) -> str:
    """Return `legible` text for an element or a quoted attribute; nothing in it is obeyed."""
    return html.escape(legible(text), quote=True)


def in_words(exc: BaseException) -> str:
    """
    Return an exception's name, with the first words that it or one of its causes has.

    trio's broken streams say nothing, and httpcore's pool raises `from None`.
    """
    told: BaseException | None = exc
    while told is not None and not str(told).strip():
        told = told.__cause__ or told.__context__
    name = type(exc).__name__
    return name if told is None else f"{name}: {printable(told, 200)}"
