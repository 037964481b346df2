"""Whether the API reference has every public name, and none that is gone."""

from __future__ import annotations

import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import liangxin
from liangxin import pytest_plugin

pytest.importorskip("mcp", reason="the reference is of all extras")

DOCS = Path(__file__).parents[2] / "docs"
_DIRECTIVE = re.compile(
    r"^\.\. (?:py:data|auto(?:class|data|exception|function)):: ([\w.]+)\n((?: +:.+\n)*)", re.M
)
REFERENCE = dict(_DIRECTIVE.findall((DOCS / "api.md").read_text("utf-8")))

NO_API = ("cli", "pytest_plugin", "ray")
"""Modules whose public face is no Python: commands; fixtures and markers.  And Ray is not here."""

MODULES = [
    import_module(f"liangxin.{found.name}")
    for found in pkgutil.iter_modules(liangxin.__path__)
    if not found.name.startswith("_") and found.name not in NO_API
]

ALSO_PUBLIC = {  # `from liangxin.models import *` is for models
    "liangxin.models": (
        *("catalogue", "configure", "facts", "json_schema"),
        *("FieldFacts", "Limits", "LocalMedia", "Media", "ModelFacts", "RuleFacts"),
    )
}


def public_names(module: ModuleType) -> set[str]:
    """What a module offers, by full names; the modules in it and its version aside."""
    names = (*module.__all__, *ALSO_PUBLIC.get(module.__name__, ()))
    return {
        f"{module.__name__}.{name}"
        for name in names
        if name != "__version__" and not inspect.ismodule(getattr(module, name))
    }


def public_methods(documented: type) -> set[str]:
    """The methods and properties that a class has from this package."""
    ours = [base for base in documented.__mro__ if base.__module__.startswith("liangxin.")]
    return {
        name
        for base in ours
        for name, value in vars(base).items()
        if isinstance(value, property | classmethod | staticmethod | FunctionType)
        and not name.startswith("_")
    }


def the_object(name: str) -> object:
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


@pytest.mark.parametrize("module", [liangxin, *MODULES], ids=lambda module: module.__name__)
def test_every_public_name_is_in_the_reference(module: ModuleType) -> None:
    known = [the_object(name) for name in REFERENCE]
    missing = {
        name
        for name in public_names(module)
        if name not in REFERENCE and not any(the_object(name) is each for each in known)
    }
    assert not missing


def test_the_reference_has_no_other_names() -> None:
    assert set(REFERENCE) <= set().union(*map(public_names, [liangxin, *MODULES]))


def test_no_public_method_is_left_out() -> None:
    for name, options in REFERENCE.items():
        documented = the_object(name)
        if isinstance(documented, type) and ":members:\n" not in options:
            chosen = re.search(r":members: (.+)\n", options)
            assert public_methods(documented) <= set(chosen[1].split(", ") if chosen else ()), name


def test_every_fixture_and_marker_is_on_the_page_about_testing() -> None:
    page = (DOCS / "testing.md").read_text("utf-8")
    markers = {said.partition("(")[0] for said in pytest_plugin._MARKERS}
    fixtures = {name for name in vars(pytest_plugin) if name.startswith("liangxin_")}
    for name in markers | fixtures:
        assert re.search(rf"\b{name}\b", page), name


def test_what_the_readme_links_to_is_there() -> None:
    readme = DOCS.parent / "README.md"
    links = re.findall(r"\]\(([^)#:]+)\)", readme.read_text("utf-8"))
    assert [link for link in links if not (readme.parent / link).is_file()] == []
