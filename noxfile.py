"""
How this project is checked: `nox -s NAME`; `nox -l` lists the names.

`nox -s tests` installs what it needs and runs on every supported interpreter it finds; one that is
absent is skipped by name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2024.4.15"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "types", "tests", "campaign"]

PYTHONS = ["3.11", "3.12", "3.13"]
PROJECT = nox.project.load_toml("pyproject.toml")
USUAL = "demo,mcp,objects,otel,parquet,postgres,show"
"""The extras that most sessions install."""
CORE: list[str] = PROJECT["project"]["dependencies"]
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]


def _let_pyenv_find_them() -> None:
    """pyenv's shims exist for all its interpreters, but run only those that are selected."""
    if shutil.which("pyenv") and "PYENV_VERSION" not in os.environ:
        listed = subprocess.run(
            ["pyenv", "versions", "--bare"], capture_output=True, text=True, check=False
        ).stdout.split()
        found = [name for name in listed if name.rpartition(".")[0] in PYTHONS]
        os.environ["PYENV_VERSION"] = ":".join(found) or "system"


_let_pyenv_find_them()


def _install(session: nox.Session, group: str, *more: str, extras: str = USUAL) -> None:
    """Install the package, editable, with extras and a dependency group."""
    session.install("-e", f".[{extras}]", *nox.project.dependency_groups(PROJECT, group), *more)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests, on every supported interpreter there is; but for the campaign."""
    _install(session, "test")
    is_first = session.python == PYTHONS[0]
    marked = "not campaign" if is_first else "not campaign and not once"
    # uvloop on the oldest and the newest of them; asyncio and trio on all.
    share = ("-k", "not uvloop") if session.python in PYTHONS[1:-1] else ()
    session.run("pytest", "-m", marked, *share, *session.posargs)


@nox.session(python=PYTHONS[0])
def campaign(session: nox.Session) -> None:
    """The long tests, about the system rather than the interpreter: crashes, crowds, recipes."""
    _install(session, "recipes")
    session.run("pytest", "-m", "campaign", *session.posargs)


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """The tests with the lowest versions of every dependency that we claim."""
    extras = ("cli", "emulator", "objects", "otel", "parquet", "postgres", "show")
    claimed = [*CORE, *(each for name in extras for each in EXTRAS[name])]
    _install(session, "test", *map(_lowest, claimed), extras=",".join(extras))
    session.run("pip", "list", silent=False)
    # anyio before 4.16 leaves the socket of a cancelled connect to the garbage collector; that
    # nothing is left open is for the newest versions to show.
    leaks = "ignore::pytest.PytestUnraisableExceptionWarning"
    share = ("-m", "not campaign", "-k", "not uvloop", "--ignore-glob=tests/test_mcp*")
    session.run("pytest", "-W", leaks, *share, *session.posargs)
    # The SDK of the Model Context Protocol takes neither the lowest anyio nor the lowest uvicorn.
    session.install(*[_lowest(each) for each in EXTRAS["mcp"] if not each.startswith("liangxin")])
    session.run("pytest", "-k", "not uvloop", *map(str, sorted(Path("tests").glob("test_mcp*"))))


def _lowest(claim: str) -> str:
    requirement = Requirement(claim)
    floor = next(each.version for each in requirement.specifier if each.operator == ">=")
    return f"{requirement.name}=={floor}"


@nox.session
def lint(session: nox.Session) -> None:
    """Style, the floors of the house, and whether what is generated is up to date."""
    _install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")
    session.run("python", "-m", "liangxin._tools.generate_sync", "--check")
    session.run("python", "-m", "liangxin._tools.generate_models", "--check")
    session.run("python", "-m", "liangxin._tools.generate_commands", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """mypy over everything, pyright over what a user would write."""
    _install(session, "types")
    session.run("mypy")
    session.run("pyright", *map(str, sorted(Path("tests/typing").glob("good_*.py"))))


@nox.session
def generate(session: nox.Session) -> None:
    """Write anew what is made from the source: _sync.py, docs/models/ and docs/commands.md."""
    _install(session, "lint")
    session.run("python", "-m", "liangxin._tools.generate_sync")
    session.run("python", "-m", "liangxin._tools.generate_models")
    session.run("python", "-m", "liangxin._tools.generate_commands")


@nox.session(name="format")
def reformat(session: nox.Session) -> None:
    """Put the source into shape."""
    _install(session, "lint")
    session.run("ruff", "check", "--fix")
    session.run("ruff", "format")


@nox.session
def package(session: nox.Session) -> None:
    """Build the wheel, install it in an empty environment, and use it there."""
    session.install("build")
    out = Path(session.create_tmp()).resolve()
    shutil.rmtree(out / "dist", ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(out / "dist"), silent=True)
    (wheel,) = (out / "dist").glob("*.whl")
    check = str(Path("tests/installed.py").resolve())
    with session.chdir(out):
        session.run("python", "-m", "venv", "--clear", "empty", silent=True)
        python = str(out / "empty" / ("Scripts" if os.name == "nt" else "bin") / "python")
        session.run(python, "-m", "pip", "install", "-q", str(wheel), external=True)
        session.run(python, check, "core", external=True)
        session.run(python, "-m", "pip", "install", "-q", f"{wheel}[demo]", external=True)
        session.run(python, check, "demo", external=True)


@nox.session
def soak(session: nox.Session) -> None:
    """A hundred thousand tasks on each backend; `-- --tasks 10000` for a share of it."""
    _install(session, "test")
    for backend in ("asyncio", "trio"):
        session.run("python", "tests/soak.py", "--backend", backend, *session.posargs)


@nox.session
def crash(session: nox.Session) -> None:
    """Kill batches at every system call; `-- --points 200` for a share of it."""
    _install(session, "test")
    everything = ("--all", "--kills", "1000", "--json", "docs/crash.json")
    session.run("python", "-m", "tests.crash", *(session.posargs or everything))
    if not session.posargs:
        session.run("python", "-m", "tests.crash.table", "docs/crash.json", "docs/_crash_table.inc")


@nox.session(python=PYTHONS[0])
def ray(session: nox.Session) -> None:
    """Datasets of Ray on two nodes; kill one ten times: `-- 3` for fewer."""
    _install(session, "test")
    session.install("-e", ".[ray]")
    kills = session.posargs[0] if session.posargs else "10"
    env = {"LIANGXIN_NODE_KILLS": kills, "RAY_USAGE_STATS_ENABLED": "0"}
    session.run("pytest", "-s", "--show-capture=no", "tests/test_ray.py", env=env)


@nox.session
def quota(session: nox.Session) -> None:
    """Eight processes that share 50 creates a second for a minute; `-- 500/10s 20` for others."""
    _install(session, "test")
    session.run("python", "-m", "tests.bench.quota", *session.posargs)


@nox.session
def shared(session: nox.Session) -> None:
    """Kill 200 processes over one shared ledger, and look at its plans with a million rows."""
    _install(session, "test")
    table = ("--json", "docs/shared_crash.json", "--table", "docs/_shared_crash_table.inc")
    session.run("python", "-m", "tests.crew", *(session.posargs or table))
    session.run("pytest", "tests/test_ledger_plans.py", env={"LIANGXIN_ROWS": "1000000"})


@nox.session
def sabotage(session: nox.Session) -> None:
    """Whether the tests notice each broken promise about money; `-- NAMES` for some of them."""
    _install(session, "test")
    session.run("python", "tests/sabotage.py", *session.posargs)


@nox.session
def money(session: nox.Session) -> None:
    """Thousands of stories of a client and its ledger, new ones each time; `-- 500` for fewer."""
    _install(session, "test")
    stories = session.posargs[0] if session.posargs else "3000"
    session.run("pytest", "tests/test_money_machine.py", env={"LIANGXIN_STORIES": stories})


@nox.session
def schemathesis(session: nox.Session) -> None:
    """The emulator against its own OpenAPI document; `-- --max-examples 5` for a rough look."""
    _install(session, "described")
    session.run("pytest", "tests/emulator/described/properties.py")
    session.run("python", "-m", "tests.emulator.described", *session.posargs)


@nox.session
def foreign(session: nox.Session) -> None:
    """The emulator under a client that was not written here; needs Node and npm."""
    if not shutil.which("npm"):
        session.skip("there is no npm on the PATH")
    _install(session, "test")
    session.run("python", "-m", "tests.emulator.foreign_client", session.create_tmp())


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    _install(session, "docs")
    session.run("sphinx-build", "-W", "-b", "html", "docs", "docs/_build/html")


@nox.session
def browser(session: nox.Session) -> None:
    """Both pages in a real Chromium, and what the docs do with outcomes in pandas and polars."""
    if not _has_chromium(session):
        session.skip("there is no chromium on the PATH: install it, on Debian by `apt-get`")
    _install(session, "browser")
    files = (
        "tests/test_sheet_in_a_browser.py",
        "tests/emulator/test_page_in_a_browser.py",
        "tests/test_outcomes.py",
        "tests/docs/test_examples.py::test_the_examples_of_a_page_run[docs/results.md-asyncio]",
    )
    session.run("pytest", "-s", *(session.posargs or files))


def _has_chromium(session: nox.Session) -> bool:
    """Whether there is one, if need be now: a bare Debian gets its own."""
    if any(map(shutil.which, ("chromium", "chromium-browser"))):
        return True
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return False
    session.run("apt-get", "update", "-qq", external=True, silent=True)
    install = ("apt-get", "install", "-qq", "-y", "--no-install-recommends", "chromium")
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    session.run(*install, external=True, silent=True, env=env)
    return True


@nox.session
def bench(session: nox.Session) -> None:
    """Measure what the README claims beside the newest peers; `-- --quick` for a rough look."""
    _install(session, "bench", "--upgrade", "--upgrade-strategy", "eager")
    session.run("python", "-m", "tests.bench", *session.posargs)
    if not session.posargs:
        session.run("python", "docs/benchmarks/plots.py")
        session.run("python", "-m", "tests.bench.page")
