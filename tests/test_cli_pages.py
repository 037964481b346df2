"""The pages about the command line: whole, and true of the program."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from liangxin.cli import _exits
from liangxin.cli._skill import page
from liangxin.cli._tree import commands, options
from liangxin.models import catalogue
from tests.commands import command

DOCS = Path(__file__).parents[1] / "docs"
GUIDE = (DOCS / "command-line.md").read_text("utf-8")
REFERENCE = (DOCS / "commands.md").read_text("utf-8")
PAGES = {"guide": GUIDE, "skill": page()}


def sections(text: str) -> dict[str, str]:
    """The sections about commands, by the words of the command."""
    found = re.split(r"^#+ (liangxin .+)\n", text, flags=re.M)
    return dict(zip(found[1::2], found[2::2], strict=True))


@pytest.mark.parametrize("text", [REFERENCE, page()], ids=["reference", "skill"])
def test_every_command_and_every_option_is_there_and_no_other(text: str) -> None:
    told = sections(text)
    assert list(told) == [words for words, _ in commands()]
    for words, known in commands():
        named = {
            name
            for line in re.findall(r"^\| `(.+?)` \|", told[words], re.M)
            for name in re.findall(r"--?[a-z][a-z-]*", line)
        }
        there = {
            name for option in options(known) for name in (*option.opts, *option.secondary_opts)
        }
        assert named == there


def test_the_guide_names_every_command_and_none_that_is_absent() -> None:
    there = {words for words, _ in commands()}
    groups = {words.split()[1] for words in there}
    named = set(re.findall(r"liangxin ([a-z]+)", GUIDE))
    assert named - groups == set()
    table = GUIDE.partition("## Who, and where")[0]
    assert groups - set(re.findall(r"[a-z]+", table)) == {"completion"}
    assert "liangxin completion" in GUIDE


@pytest.mark.parametrize("text", PAGES.values(), ids=PAGES)
def test_every_exit_code_is_in_the_table(text: str) -> None:
    codes = {value for name, value in vars(_exits).items() if name.isupper() and name[0] != "_"}
    assert codes == {int(each) for each in re.findall(r"^\| (\d+) \|", text, re.M)}


def test_the_skill_has_every_model_by_a_name_that_run_takes() -> None:
    listed = re.findall(r"^\| `([^-`][^`]*)` \| (?:documented|a guess|unknown)", page(), re.M)
    assert listed == [known.slug or known.name for known in catalogue()]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_shell_lines_of_the_skill_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```sh\n(.*?)^```", page(), re.M | re.S)
    assert len(blocks) >= 4
    for line in "".join(blocks).replace("\\\n", " ").splitlines():
        if not line.startswith("liangxin "):
            subprocess.run(["bash", "-c", line], check=True, timeout=60)
            continue
        words, _, file = line.partition(" > ")
        done = command(*shlex.split(words)[1:])  # in this process, which is a second faster
        assert done.exit_code == 0, done.stderr
        if file:
            Path(file).write_text(done.stdout, "utf-8")
    assert list(tmp_path.glob("posters/*.png"))
