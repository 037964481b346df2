"""The generator: finds every drift, and stops at what it cannot mirror."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from liangxin._tools.generate_sync import SOURCE, TARGET, generate, main


def client_with(member: str) -> str:
    return f'class AsyncClient:\n    """A client."""\n\n    {member}\n'


def without_a_line(text: str) -> str:
    return text.replace("        self._portal.close()\n", "        ...\n").replace(
        "import os\n", ""
    )


def with_a_method(text: str) -> str:
    return text + "\n    def forgotten(self) -> None:\n        pass\n"


def with_another_default(text: str) -> str:
    return text.replace("max_in_flight: int = 100", "max_in_flight: int = 101")


def with_another_word(text: str) -> str:
    return text.replace("Sent at most once", "Sent at most twice")


DRIFTS = [without_a_line, with_a_method, with_another_default, with_another_word]


def test_the_committed_client_says_what_would_be_generated() -> None:
    wanted = generate(SOURCE.read_text(encoding="utf-8"))
    found = TARGET.read_text(encoding="utf-8")
    assert ast.dump(ast.parse(found)) == ast.dump(ast.parse(wanted)), "run: nox -s generate"


def test_the_committed_client_is_up_to_date_to_the_letter(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("ruff", reason="ruff is not installed: nox -s lint compares")
    assert main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("drift", DRIFTS)
def test_check_finds_a_drift_of_the_blocking_client(
    drift: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ruff", reason="ruff is not installed: nox -s lint compares")
    found = TARGET.read_text(encoding="utf-8")
    target = tmp_path / "_sync.py"
    target.write_text(drift(found), encoding="utf-8")
    assert main(["--check"], target=target) == 1
    assert target.read_text(encoding="utf-8") == drift(found) != found
    assert "is stale; run: nox -s generate" in capsys.readouterr().out


def test_check_finds_a_new_method_of_the_async_client(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ruff", reason="ruff is not installed: nox -s lint compares")
    source = tmp_path / "_client.py"
    method = '    async def credits(self) -> int:\n        """Count them."""\n\n    @property\n'
    text = SOURCE.read_text(encoding="utf-8").replace("    @property\n", method, 1)
    source.write_text(text, encoding="utf-8")
    assert main(["--check"], source=source) == 1
    assert "+        return self._portal.run(self._client.credits)" in capsys.readouterr().out


def test_check_finds_a_file_that_is_not_there_and_a_plain_run_writes_it(tmp_path: Path) -> None:
    pytest.importorskip("ruff", reason="ruff is not installed: nox -s lint compares")
    target = tmp_path / "_sync.py"
    assert main(["--check"], target=target) == 1
    assert not target.exists()
    assert main([], target=target) == 0
    assert target.read_text(encoding="utf-8") == TARGET.read_text(encoding="utf-8")


def test_a_mistyped_option_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="usage"):
        main(["--chek"], target=tmp_path / "_sync.py")
    assert not [*tmp_path.iterdir()]


SHAPES = {
    "async def ask(self, one: int, *, two: str = 'x') -> int: ...": (
        "def ask(self, one: int, *, two: str='x') -> int:",
        "return self._portal.run(self._client.ask, one, two=two)",
    ),
    "async def look(self) -> AsyncIterator[Task]:\n        yield": (
        "def look(self) -> Iterator[Task]:",
        "return self._portal.iterate(self._client.look)",
    ),
    "def many(self, inputs: Inputs) -> AbstractAsyncContextManager[AsyncIterator[Outcome]]: ...": (
        "def many(self, inputs: Iterable[ModelInput]) -> AbstractContextManager[Iterator[Outcome]]",
        "return self._portal.enter(self._client.many, self._portal.drawn(inputs))",
    ),
    "@property\n    def url(self) -> str: ...": (
        "@property\n    def url(self) -> str:",
        "return self._client.url",
    ),
    "async def aclose(self) -> None: ...": ("def close(self) -> None:", "self._portal.close()"),
}


@pytest.mark.parametrize("member", SHAPES)
def test_every_shape_becomes_one_forward(member: str) -> None:
    head, forward = SHAPES[member]
    text = generate(client_with(member))
    ast.parse(text)
    assert head in text
    assert forward in text


@pytest.mark.parametrize(
    "member",
    [
        "def ask(self, x: int) -> int: ...",
        "@staticmethod\n    async def ask() -> int: ...",
        "@classmethod\n    async def ask(cls) -> int: ...",
        "@property\n    @cached\n    def ask(self, x: int) -> int: ...",
        "async def ask(self, one: int, /) -> int: ...",
        "async def ask(self, *many: int) -> int: ...",
        "async def ask(self, **options: int) -> int: ...",
        "limit: int = 3",
    ],
)
def test_an_unknown_shape_stops_the_generator_with_a_sentence(member: str) -> None:
    with pytest.raises(SystemExit, match=r"AsyncClient.*mirror"):
        generate(client_with(member))


@pytest.mark.parametrize("words", ["await it", "Then\n\n        await", "an async call", "`await`"])
def test_a_docstring_that_says_await_stops_the_generator(words: str) -> None:
    member = f'async def ask(self) -> int:\n        """Do {words}."""'
    with pytest.raises(SystemExit, match="ask: its docstring is for both clients, and says"):
        generate(client_with(member))


def test_a_private_method_is_not_mirrored() -> None:
    assert "secret" not in generate(client_with("async def _secret(self) -> int: ..."))
