"""
Writes `liangxin/_sync.py` from `liangxin/_client.py`, or checks that it is up to date.

    python -m liangxin._tools.generate_sync [--check]

No body is translated.  Each public method becomes one typed forward through the portal, chosen by
its shape: a coroutine, an async generator, an async context manager, a property, or a plain
method without parameters, which only reads.
"""

from __future__ import annotations

import ast
import difflib
import re
import subprocess
import sys
import textwrap
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
SOURCE = PACKAGE / "_client.py"
TARGET = PACKAGE / "_sync.py"

HEADER = '''\
# Generated from liangxin/_client.py. Do not edit; run: nox -s generate
"""The blocking client: every verb of `AsyncClient`, for callers without an event loop."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from liangxin._client import AsyncClient
from liangxin._policy import DownloadPolicy, DownloadProgress
from liangxin._portal import Portal
from liangxin._quota import RateLimit
from liangxin._tasks import ModelInput, Outcome, Stats, Task

if TYPE_CHECKING:
    import httpx

    from liangxin.batch import BatchReport
    from liangxin.batch._run import Named
    from liangxin.callbacks import CallbackReceiver
    from liangxin.hooks import Hook
    from liangxin.ledger import Store
    from liangxin.uploads import Uploader


class Client:
'''

NOTE = """
Any thread may call.  The work is done in one event loop, in a thread of the client's own.
Inputs other than a list or a tuple are drawn in a thread of their own: they may block, and they
may call the client.
"""

# How a type reads on the other side; any other stays as it is.
TYPES = {
    "Inputs": "Iterable[ModelInput]",
    "Requests": "str | os.PathLike[str] | Iterable[Named]",
    "AbstractAsyncContextManager[AsyncIterator[Outcome]]": (
        "AbstractContextManager[Iterator[Outcome]]"
    ),
    "AsyncIterator[DownloadProgress]": "Iterator[DownloadProgress]",
    "AsyncIterator[Task]": "Iterator[Task]",
}

CONTEXT = """
def __enter__(self) -> Client:
    return self

def __exit__(
    self,
    exc_type: type[BaseException] | None,
    exc: BaseException | None,
    traceback: TracebackType | None,
) -> None:
    self.close()
"""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def generate(source: str) -> str:
    """Return the text of the blocking client for the text of the async one."""
    tree = ast.parse(source)
    client = next(
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "AsyncClient"
    )
    parts = [_docstring(client, NOTE)]
    for node in client.body[1:]:
        if not isinstance(node, Function):
            raise SystemExit(f"AsyncClient, line {node.lineno}: only methods can be mirrored")
        parts.append(_member(node))
    body = "\n\n".join(part.strip("\n") for part in parts if part)
    return HEADER + textwrap.indent(body, "    ") + "\n"


def _member(node: Function) -> str:
    if node.name == "__init__":
        return _init(node)
    if node.name == "__aenter__":
        return CONTEXT
    if node.name == "aclose":
        return f"def close(self) -> None:\n{_indented_doc(node)}\n    self._portal.close()"
    if node.name.startswith("_"):
        return ""
    returns = ast.unparse(node.returns) if node.returns else "None"
    decorators = [ast.unparse(each) for each in node.decorator_list]
    if decorators == ["property"]:
        return (
            f"@property\ndef {node.name}(self) -> {returns}:\n{_indented_doc(node)}\n"
            f"    return self._client.{node.name}"
        )
    if decorators:
        raise _unknown(node, f"@{decorators[0]}")
    if isinstance(node, ast.FunctionDef) and not _arguments(node):
        return (
            f"def {node.name}(self) -> {returns}:\n{_indented_doc(node)}\n"
            f"    return self._client.{node.name}()"
        )
    verb = _verb(node, returns)
    call = ", ".join([f"self._client.{node.name}", *_arguments(node)])
    return (
        f"def {node.name}({_parameters(node)}) -> {TYPES.get(returns, returns)}:\n"
        f"{_indented_doc(node)}\n    return self._portal.{verb}({call})"
    )


def _verb(node: Function, returns: str) -> str:
    if returns.startswith("AbstractAsyncContextManager["):
        return "enter"
    if returns.startswith("AsyncIterator["):
        return "iterate"
    if isinstance(node, ast.AsyncFunctionDef):
        return "run"
    raise _unknown(node, "a method that is no coroutine and returns no stream")


def _unknown(node: Function, what: str) -> SystemExit:
    return SystemExit(
        f"AsyncClient.{node.name}: {what} is a shape that the generator cannot mirror"
    )


def _init(node: Function) -> str:
    arguments = ", ".join(_arguments(node))
    return (
        f"def __init__({_parameters(node)}) -> None:\n"
        f"    self._client = AsyncClient({arguments})\n"
        "    self._portal = Portal(self._client, self._client._creations.keep)"
    )


def _parameters(node: Function) -> str:
    arguments = ast.parse(f"def f({ast.unparse(node.args)}): ...").body[0]
    assert isinstance(arguments, ast.FunctionDef)
    for each in [*arguments.args.args, *arguments.args.kwonlyargs]:
        if each.annotation is not None:
            kind = ast.unparse(each.annotation)
            each.annotation = ast.parse(TYPES.get(kind, kind), mode="eval").body
    return ast.unparse(arguments.args)


def _arguments(node: Function) -> list[str]:
    if node.args.posonlyargs or node.args.vararg or node.args.kwarg:
        raise _unknown(node, "a parameter with `/`, `*` or `**`")
    by_place = [_value(each) for each in node.args.args[1:]]
    by_name = [f"{each.arg}={_value(each)}" for each in node.args.kwonlyargs]
    return by_place + by_name


def _value(argument: ast.arg) -> str:
    kind = ast.unparse(argument.annotation) if argument.annotation else ""
    verb = {"Inputs": "drawn", "Requests": "drawn_or_file"}.get(kind)
    return f"self._portal.{verb}({argument.arg})" if verb else argument.arg


def _docstring(node: Function | ast.ClassDef, more: str = "") -> str:
    text = (ast.get_docstring(node) or "").strip() + ("\n" + more.rstrip() if more else "")
    if found := re.search(r"\b(async|await)\b", text):
        raise SystemExit(
            f"{node.name}: its docstring is for both clients, and says {found.group()!r}"
        )
    if "\n" not in text:
        return f'"""{text}"""'
    return f'"""\n{text}\n"""'


def _indented_doc(node: Function) -> str:
    return textwrap.indent(_docstring(node), "    ")


def _formatted(text: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--line-length", "100", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8")
    if done.returncode != 0:
        raise SystemExit(f"ruff cannot format what was generated: {done.stderr.strip()}")
    return done.stdout


def main(arguments: list[str], source: Path = SOURCE, target: Path = TARGET) -> int:
    """Write the file, or compare; the exit code says whether it is up to date."""
    if arguments not in ([], ["--check"]):
        raise SystemExit("usage: python -m liangxin._tools.generate_sync [--check]")
    wanted = _formatted(generate(source.read_text(encoding="utf-8")))
    found = target.read_text(encoding="utf-8") if target.exists() else ""
    if not arguments:
        target.write_text(wanted, encoding="utf-8")
        print(f"wrote {target.name}" if wanted != found else f"{target.name} was up to date")
        return 0
    if wanted == found:
        return 0
    sys.stdout.writelines(
        difflib.unified_diff(
            found.splitlines(keepends=True),
            wanted.splitlines(keepends=True),
            f"{target.name} as it is",
            f"{target.name} as generated",
        )
    )
    print(f"{target.name} is stale; run: nox -s generate")
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
