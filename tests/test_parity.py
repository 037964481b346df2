"""`Client` is `AsyncClient` for other callers: same names, same parameters, same words."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from liangxin import AsyncClient, Client
from liangxin._tools.generate_sync import NOTE, TYPES

NAMES = {"aclose": "close"}


def public(kind: type) -> dict[str, object]:
    return {name: member for name, member in vars(kind).items() if not name.startswith("_")}


def blocking_name(name: str) -> str:
    return NAMES.get(name, name)


def blocking_type(annotation: object) -> object:
    return TYPES.get(annotation, annotation) if isinstance(annotation, str) else annotation


VERBS = sorted(name for name, member in public(AsyncClient).items() if inspect.isroutine(member))
PROPERTIES = sorted(set(public(AsyncClient)) - set(VERBS))


def both(name: str) -> tuple[Callable[..., object], Callable[..., object]]:
    return getattr(AsyncClient, name), getattr(Client, blocking_name(name))


def test_there_are_verbs_and_properties_to_compare() -> None:
    assert {"create_task", "watch", "wait", "run", "run_many", "download"} <= set(VERBS)
    assert PROPERTIES == ["base_url", "unclaimed"]


def test_every_public_name_has_its_twin_and_there_is_no_other() -> None:
    assert [*map(blocking_name, public(AsyncClient))] == [*public(Client)]


@pytest.mark.parametrize("name", ["__init__", *VERBS])
def test_parameters_agree_in_order_kind_and_default(name: str) -> None:
    asked, found = (
        [(each.name, each.kind, each.default) for each in inspect.signature(it).parameters.values()]
        for it in both(name)
    )
    assert asked == found


@pytest.mark.parametrize("name", ["__init__", *VERBS])
def test_annotations_agree_after_the_documented_mapping(name: str) -> None:
    asked, found = (inspect.signature(it) for it in both(name))
    assert {key: blocking_type(each.annotation) for key, each in asked.parameters.items()} == {
        key: each.annotation for key, each in found.parameters.items()
    }
    assert blocking_type(asked.return_annotation) == found.return_annotation


@pytest.mark.parametrize("name", VERBS)
def test_docstrings_are_the_same(name: str) -> None:
    asked, found = (inspect.getdoc(it) for it in both(name))
    assert asked
    assert asked == found


def test_the_docstring_of_the_class_only_adds_what_threads_need_to_know() -> None:
    asked, found = inspect.getdoc(AsyncClient), inspect.getdoc(Client)
    assert asked
    assert found == f"{asked}\n{NOTE.rstrip()}"


@pytest.mark.parametrize("name", PROPERTIES)
def test_properties_stay_properties(name: str) -> None:
    asked, found = public(AsyncClient)[name], public(Client)[name]
    assert isinstance(asked, property)
    assert isinstance(found, property)
    assert inspect.getdoc(asked) == inspect.getdoc(found)
    assert (asked.fset, asked.fdel) == (found.fset, found.fdel) == (None, None)


def test_nothing_of_the_blocking_client_is_a_coroutine() -> None:
    members = vars(Client).values()
    assert not any(map(inspect.iscoroutinefunction, members))
    assert not any(map(inspect.isasyncgenfunction, members))


def test_both_are_context_managers_of_their_own_kind() -> None:
    assert issubclass(Client, AbstractContextManager)
    assert not hasattr(Client, "__aenter__")
    assert not hasattr(AsyncClient, "__enter__")
