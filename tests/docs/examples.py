"""
Runs the examples of a page of the documentation, from top to bottom, as its reader would.

Blocks of `python` share one namespace.  A block that awaits at its top, and an `async def main()`
that takes nothing and that nobody calls, run on the backend of the test, all in one event loop.
Blocks of `console` and `bash` are scripts for bash, one process each, and every command must
succeed; lines that begin like one of `NOT_HERE` are left out.  A last comment `# SomeError: words`
is what the block must raise.  What else a page can say, in a comment just above a block:

    <!-- not run: reason -->     the block is only looked at
    <!-- needs: pandas -->       the block runs where that package is installed
    <!-- file: posters.jsonl --> the block, in whatever language, is written to that file

What an example needs and its reader has anyway stands in `<!-- invisible-code-block: python … -->`.
The service is whatever `LIANGXIN_BASE_URL` names; a script that says `ADDRESS` means that too.
"""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from inspect import CO_COROUTINE
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import anyio.from_thread
import pytest
from attrs import frozen
from sybil import Example, Sybil
from sybil.evaluators.python import pad
from sybil.parsers.myst import CodeBlockParser

ADDRESS = "http://127.0.0.1:8787"

NOT_HERE = ("python -m pip ", "pip install ", "nox ", "docker ")
"""How lines begin that are about the reader's machine, and change or need too much of ours."""

POLL_INTERVAL = 0.02
"""How often clients and commands look that say nothing themselves: an example is no wait."""

_CLIENTS = ("Client", "AsyncClient", "liangxin.Client", "liangxin.AsyncClient")

FILES = ("csv", "json", "text", "toml", "yaml")
"""Languages of which a block can only be a file."""

_PROLOGUE = f"""
set -euo pipefail
curl() {{ command curl --fail --max-time 30 "$@"; }}
liangxin() {{
    case $1 in
        run|wait) command liangxin "$@" --poll-interval {POLL_INTERVAL};;
        *) command liangxin "$@";;
    esac
}}
"""

_COMMENT = re.compile(r"<!-- (not run|needs|file): ([^\n]+) -->\s*\Z")
_RAISED = re.compile(r"^# (\w+Error): (.+)\s*\Z", re.M)


def run(page: Path, backend: str, *, with_scripts: bool = True) -> dict[str, Any]:
    """Run the examples of a page in the current folder; returns what its Python has defined."""
    with anyio.from_thread.start_blocking_portal(backend) as portal:
        examples = _Examples(portal, backend)
        evaluators = dict.fromkeys(FILES, _only_look) | {"python": examples.python}
        evaluators |= dict.fromkeys(("console", "bash"), bash if with_scripts else _only_look)
        parsers = [CodeBlockParser(*each) for each in evaluators.items()]
        document = Sybil(parsers).parse(page)
        document.namespace["__name__"] = "__main__"
        for example in document.examples():
            if not _obey_comment(example):
                example.evaluate()
    return document.namespace


def _obey_comment(example: Example) -> bool:
    """Whether the comment above the block says all that there is to do."""
    comment = _COMMENT.search(example.document.text[: example.start])
    if comment is None:
        return False
    if comment[1] == "needs":
        return find_spec(comment[2]) is None
    if comment[1] == "file":
        Path(comment[2]).parent.mkdir(parents=True, exist_ok=True)
        Path(comment[2]).write_text(example.parsed, encoding="utf-8")
    return True


def _only_look(example: Example) -> None:
    """Nothing to run."""


def bash(example: Example) -> None:
    """Run a script; a command that fails is an error that shows what it said."""
    lines = [line for line in example.parsed.splitlines() if not line.startswith(NOT_HERE)]
    if not lines:
        return
    address = os.environ.get("LIANGXIN_BASE_URL", ADDRESS)
    script = "\n".join(lines).replace(ADDRESS, address)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with TemporaryFile("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            ["bash", "-c", _PROLOGUE + script],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": path},
            start_new_session=True,
        )
        try:
            code = process.wait(60)
        finally:
            with suppress(ProcessLookupError):  # what a script left behind, ends with it
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        said.seek(0)
        where = f"{example.path}, line {example.line}"
        assert code == 0, f"{where}: exit code {code}\n{script}\n{said.read()}"


@frozen
class _Examples:
    """The Python of a page, and the event loop that its blocks share."""

    portal: anyio.from_thread.BlockingPortal
    backend: str

    def python(self, example: Example) -> None:
        """Run a block where it belongs: in the event loop if it awaits, else in this thread."""
        raised = _RAISED.search(example.parsed)
        if raised is None:
            self._run(example)
            return
        with pytest.raises(Exception, match=re.escape(raised[2])) as caught:
            self._run(example)
        assert caught.typename == raised[1], f"it raised {caught.typename}"

    def _run(self, example: Example) -> None:
        source = pad(example.parsed, example.line + example.parsed.line_offset)
        block = _Choices(self.backend).visit(ast.parse(source, example.path))
        code = compile(block, example.path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & CO_COROUTINE:
            self.portal.call(eval, code, example.namespace)
        else:
            exec(code, example.namespace)
        for name in _uncalled(block):
            self.portal.call(example.namespace[name])


def _uncalled(block: ast.Module) -> list[str]:
    """The coroutine functions of a block that take nothing, and that it leaves to its reader."""
    named = {node.id for node in ast.walk(block) if isinstance(node, ast.Name)}
    return [
        node.name
        for node in block.body
        if isinstance(node, ast.AsyncFunctionDef)
        and not node.decorator_list
        and not ast.unparse(node.args)
        and node.name not in named
    ]


@frozen
class _Choices(ast.NodeTransformer):
    """Chooses for the reader, where the example does not: the backend, and frequent looks."""

    backend: str

    def visit_Call(self, call: ast.Call) -> ast.Call:
        self.generic_visit(call)
        if ast.unparse(call.func) in _CLIENTS:
            _choose(call, "poll_interval", POLL_INTERVAL)
        elif ast.unparse(call.func) == "anyio.run":
            _choose(call, "backend", self.backend)
        return call


def _choose(call: ast.Call, name: str, value: str | float) -> None:
    if all(keyword.arg != name for keyword in call.keywords):
        chosen = ast.keyword(name, ast.Constant(value))
        call.keywords.append(ast.fix_missing_locations(ast.copy_location(chosen, call)))
