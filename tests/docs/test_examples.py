"""Every example of the README and of the documentation runs; and the runner notices if not."""

from __future__ import annotations

import io
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from liangxin.emulator import Emulator
from tests.docs.examples import ADDRESS, FILES, run

ROOT = Path(__file__).parents[2]

ELSEWHERE = {
    "docs/media.md": "below: a test looks at what it sends",
    "docs/testing.md": "tests/test_pytest_plugin.py: its blocks are files for pytest",
    "docs/ray.md": "tests/test_ray.py: it needs a cluster, and a database",
    "docs/recipes.md": "tests/test_recipes.py: its blocks are programs of their own",
}


def _pages_and_backends() -> list[Any]:
    """Each page with examples, on asyncio; and on trio, if anything on it is asynchronous."""
    pages = {
        page.relative_to(ROOT).as_posix(): page.read_text("utf-8")
        for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    }
    return [
        pytest.param(ROOT / name, backend, id=f"{name}-{backend}")
        for name, text in pages.items()
        for backend in ("asyncio", "trio")
        if name not in ELSEWHERE
        and re.search(r"^ *```(python|console|bash)$", text, re.M)
        and (backend == "asyncio" or re.search(r"\basync\b", text))
    ]


@pytest.mark.usefixtures("service", "buckets")
@pytest.mark.parametrize(("page", "backend"), _pages_and_backends())
def test_the_examples_of_a_page_run(page: Path, backend: str) -> None:
    run(page, backend, with_scripts=backend == "asyncio")


@pytest.mark.usefixtures("buckets")
def test_the_page_about_pictures_sends_what_it_says(service: Emulator) -> None:
    Path("public").mkdir()
    image = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(image, "PNG")
    Path("cat.png").write_bytes(image.getvalue())
    run(ROOT / "docs" / "media.md", "asyncio")
    sent: list[dict[str, Any]] = [dict(task.input) for task in service.tasks.values()]
    assert len(sent) == 6
    assert [len(each.get("image_input", ())) for each in sent] == [2, 2, 0, 0, 1, 0]
    [name] = [path.name for path in Path("public").iterdir()]
    assert sent[2]["input_image"] == f"https://pictures.example.com/{name}"
    assert f"/pictures/liangxin/{name}?" in sent[3]["input_image"]
    address = f"https://pictures.example.com/liangxin/{name}"
    assert sent[5]["elements"] == [{"frontal_image_url": address}]


# --- the runner ----------------------------------------------------------------------------------


def run_words(words: str, backend: str = "asyncio") -> dict[str, Any]:
    """Run a page that says these words."""
    page = Path("page.md")
    page.write_text(words, encoding="utf-8")
    return run(page, backend)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("```python\nassert False, 'broken'\n```", "broken"),
        ("```python\nimport anyio\n\nawait anyio.sleep('long')\n```", "long|str"),
        ("```python\nasync def main():\n    raise KeyError('broken')\n```", "broken"),
        ("```python\nint('seven')\n# TypeError: invalid literal\n```", "raised ValueError"),
        ("```python\nint('7')\n# ValueError: invalid literal\n```", "DID NOT RAISE"),
        ("```console\nfalse\nprintf ok\n```", "line 3: exit code 1"),
        ("```console\nliangxin models show no-such-model\n```", "no-such-model"),
        (":::{tab} Async\n```python\nbroken\n```\n:::", "broken"),
        ("<!-- not run: see above -->\n\n```python\n1\n```\n```python\nbroken\n```", "broken"),
    ],
)
def test_a_broken_example_is_noticed(block: str, words: str) -> None:
    with pytest.raises(BaseException, match=words):
        run_words(f"# Page\n\n{block}\n")


@pytest.mark.usefixtures("service")
def test_what_the_service_refuses_is_noticed() -> None:
    with pytest.raises(AssertionError, match="exit code 22"):
        run_words(f"```console\ncurl -s {ADDRESS}/nowhere\n```\n")


def test_an_example_that_is_broken_is_found_by_its_line(folder: Path) -> None:
    with pytest.raises(NameError) as caught:
        run_words("# Page\n\n```python\nfirst = 1\nsecond\n```\n")
    last = caught.traceback[-1]
    assert (last.path, last.lineno + 1) == (folder / "page.md", 5)


WAYS_TO_AWAIT = """
```python
import anyio
from sniffio import current_async_library

seen = []
await anyio.sleep(0)
seen.append(current_async_library())
```
```python
async def main():
    seen.append(current_async_library())
```
```python
async def main():
    seen.append(current_async_library())

anyio.run(main)
```
"""


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_awaits_runs_on_the_backend_of_the_test(backend: str) -> None:
    known = run_words(WAYS_TO_AWAIT, backend)
    assert known["seen"] == [backend] * 3


@pytest.mark.usefixtures("folder")
def test_a_block_with_a_name_is_a_file_for_those_below() -> None:
    run_words("<!-- file: in/a.json -->\n```json\n[1]\n```\n```console\ncp in/a.json b.json\n```\n")
    assert json.loads(Path("b.json").read_text("utf-8")) == [1]


@pytest.mark.usefixtures("folder")
def test_what_changes_the_machine_of_a_reader_is_left_out() -> None:
    run_words("```console\npip install no-such-package\necho ran > said\n```\n")
    assert Path("said").read_text("utf-8") == "ran\n"


@pytest.mark.usefixtures("folder")
def test_what_a_script_leaves_running_ends_with_it() -> None:
    run_words("```console\nsleep 600 &\necho $! > pid\n```\n")
    pid = Path("pid").read_text("utf-8").strip()
    listed = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True)
    assert listed.stdout.strip() in ("", "Z")


def test_no_block_is_in_a_language_that_the_runner_would_pass_by() -> None:
    run_here = {"python", "console", "bash", *FILES}
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        said = set(re.findall(r"^ *```+([\w-]+)$", page.read_text("utf-8"), re.M))
        assert said <= run_here | {"nginx"}, page


def test_every_block_that_is_not_run_has_a_reason_and_is_there() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        text = page.read_text("utf-8")
        good = re.findall(r"^<!-- not run: \S[^\n]* -->\n+ *```\w+$", text, re.M)
        assert len(good) == text.count("not run:"), page
