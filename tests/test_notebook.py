"""What a notebook shows of results: pictures, and never what somebody else's words ask for."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

import liangxin
from liangxin import Outcome, Task, TaskState, gallery
from liangxin._notebook import EMBED, bundle
from liangxin.emulator import Emulator
from tests.conftest import KEY
from tests.test_contact_sheet import FOG, LOST, TASK
from tests.test_sheet import HOSTILE

DOT = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\1\0\0\0\0007n\xf9$\0\0\0\nIDATx\x9cc`\0\0\0\2\0"
    b"\1H\xaf\xa4q\0\0\0\0IEND\xaeB`\x82"
)


class Shown(HTMLParser):
    """The elements of a fragment with their attributes, and its text."""

    def __init__(self, fragment: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(fragment)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(attrs)) for tag, attrs in self.elements]


def shown(result: Outcome | Task) -> Shown:
    return Shown(bundle(result)["text/html"])


def task_with(*urls: str) -> Task:
    return Task(id="task_1", model="z-image", state=TaskState.SUCCESS, urls=urls)


# --- tasks -------------------------------------------------------------------------------------


def test_a_task_shows_its_pictures_and_does_not_say_where_it_is_looked_at() -> None:
    page = shown(TASK)
    [picture] = page.all("img")
    assert picture["src"] == "https://cdn.example.com/1.png"
    assert (picture["referrerpolicy"], picture["loading"]) == ("no-referrer", "lazy")
    [link] = page.all("a")
    assert link["href"] == picture["src"]
    assert (link["rel"], link["referrerpolicy"]) == ("noopener noreferrer", "no-referrer")
    assert "z-image · success · 7.0 s" in page.text


def test_a_clip_of_a_task_is_not_fetched_before_it_is_played() -> None:
    page = shown(task_with("https://cdn.example.com/a.mp4?sig=x&exp=1"))
    [clip] = page.all("video")
    assert clip["src"] == "https://cdn.example.com/a.mp4?sig=x&exp=1"
    assert clip["preload"] == "none"
    assert "autoplay" not in clip


def test_a_task_without_results_is_told_in_words_alone() -> None:
    waiting = Task(id="task_1", state=TaskState.WAITING)
    assert waiting._repr_mimebundle_() == {"text/plain": repr(waiting)}


def test_words_are_always_there_for_what_shows_no_html() -> None:
    told = TASK._repr_mimebundle_(include=None, exclude=None)
    assert set(told) == {"text/plain", "text/html"}
    assert told["text/plain"] == repr(TASK)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "file:///etc/passwd",
        "//cdn.example.com/1.png",
        "ftp://cdn.example.com/1.png",
        "https:///1.png",
        "https://[::1/1.png",
        " javascript:alert(1)",
        "",
    ],
)
def test_only_http_and_https_become_links(url: str) -> None:
    page = shown(task_with(url))
    assert page.all("a") == page.all("img") == []


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_in_an_address_stay_in_it(words: str) -> None:
    page = shown(task_with(f"https://cdn.example.com/{words}"))
    assert page.shape == shown(task_with("https://cdn.example.com/x")).shape
    [picture] = page.all("img")
    assert (picture["src"] or "").startswith("https://cdn.example.com/")
    assert not {'"', "<", ">", " "} & set(picture["src"] or "")


# --- outcomes ----------------------------------------------------------------------------------


def test_a_small_file_is_embedded(tmp_path: Path) -> None:
    (tmp_path / "fog.png").write_bytes(DOT)
    outcome = Outcome(key="fog", input=FOG, task=TASK, files=(tmp_path / "fog.png",))
    page = Shown(outcome._repr_mimebundle_()["text/html"])
    [picture] = page.all("img")
    assert (picture["src"] or "").startswith("data:image/png;base64,iVBORw0KGgo")
    assert picture["height"] == "320"
    assert "a lighthouse in fog" in page.text
    assert "fog · z-image · success" in page.text


def test_a_large_file_is_linked_to_from_where_the_notebook_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a b" / "fog.png"
    path.parent.mkdir()
    path.write_bytes(DOT)
    os.truncate(path, EMBED + 1)
    outcome = Outcome(input=FOG, task=TASK, files=(path,))
    assert [each["src"] for each in shown(outcome).all("img")] == ["./a%20b/fog.png"]
    assert [each["href"] for each in shown(outcome).all("a")] == ["./a%20b/fog.png"]
    monkeypatch.chdir(path.parent)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert shown(outcome).all("a") == shown(outcome).all("img") == []
    assert str(path) in shown(outcome).text


def test_a_file_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    page = shown(Outcome(input=FOG, task=TASK, files=(tmp_path / "fog.png",)))
    assert page.all("img") == []
    assert "fog.png: No such file" in page.text


def test_an_error_is_told_beside_what_is_known() -> None:
    page = shown(Outcome(key="fog", input=FOG, error=LOST))
    assert "the answer was lost" in page.text
    assert "fog · z-image · no task" in page.text


@given(words=st.text() | st.sampled_from(HOSTILE))
def test_no_words_change_what_is_shown(words: str) -> None:
    def of(words: str) -> Outcome:
        task = Task(id=words, model=f"m{words}", state=TaskState.SUCCESS)
        error = liangxin.TaskFailed(task, f"no {words}")
        asked = liangxin.RawInput("m", {"prompt": f"p {words}"})
        return Outcome(key=f"k{words}", input=asked, task=task, error=error)

    assert shown(of(words)).shape == shown(of("harmless")).shape
    bundle(of(words))["text/html"].encode()


# --- galleries ---------------------------------------------------------------------------------


def test_a_gallery_shows_outcomes_and_tasks_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "fog.png").write_bytes(DOT)
    outcome = Outcome(input=FOG, task=TASK, files=(tmp_path / "fog.png",))
    seen = gallery(each for each in (outcome, TASK, Outcome(input=FOG, error=LOST)))
    assert (len(seen), repr(seen)) == (3, "<Gallery of 3 results>")
    page = Shown(seen._repr_html_())
    assert len(page.all("figure")) == 3
    assert [each["height"] for each in page.all("img")] == ["180", "180"]


def test_a_gallery_embeds_so_many_bytes_and_links_to_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "fog.png"
    path.write_bytes(DOT)
    os.truncate(path, EMBED)
    outcome = Outcome(input=FOG, task=TASK, files=(path,))
    pictures = Shown(gallery([outcome] * 10)._repr_html_()).all("img")
    embedded = [each for each in pictures if (each["src"] or "").startswith("data:")]
    assert (len(pictures), len(embedded)) == (10, 8)


# --- a real notebook ---------------------------------------------------------------------------


@pytest.fixture
def kernel_home(server: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, and the emulator in the environment of the kernel."""
    monkeypatch.setenv("LIANGXIN_API_KEY", KEY)
    monkeypatch.setenv("LIANGXIN_BASE_URL", server.base_url)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    return tmp_path


ASYNC = """
import liangxin
fog = liangxin.models.ZImage(prompt="fog")
async with liangxin.AsyncClient(min_interval=0.01, max_interval=0.05) as client:
    task = await client.run(fog)
task
"""
BLOCKING = """
with liangxin.Client(min_interval=0.01, max_interval=0.05) as client:
    with client.batch([("fog", fog)], out="out") as outcomes:
        ended = list(outcomes)
ended[0]
"""
GALLERY = "liangxin.gallery(ended)"


@pytest.mark.campaign
@pytest.mark.filterwarnings("default")
def test_both_clients_work_in_a_notebook_and_their_results_are_seen(
    server: Emulator, kernel_home: Path
) -> None:
    code: dict[str, Any] = {
        "cell_type": "code",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    cells = [{**code, "source": source} for source in (ASYNC, BLOCKING, GALLERY)]
    book = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}
    notebook = nbformat.from_dict(book)  # type: ignore[no-untyped-call]  # it has no types
    resources = {"metadata": {"path": str(kernel_home)}}
    nbclient.NotebookClient(notebook, timeout=60, resources=resources).execute()
    remote, local, many = [cell.outputs for cell in notebook.cells]
    [charged, again] = [charge.task_id for charge in server.charges]
    assert charged in said(remote, "text/plain")
    assert f'<img src="{server.base_url}' in said(remote, "text/html")
    assert again in said(local, "text/plain")
    assert '<img src="data:image/png;base64,' in said(local, "text/html")
    assert said(many, "text/html").count("<figure") == 1
    assert said(many, "text/plain") == "<Gallery of 1 results>"


def said(outputs: Any, kind: str) -> str:
    [output] = outputs
    return str(output["data"][kind])
