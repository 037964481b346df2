"""The values that users hold."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import attrs
import pytest

import liangxin
from liangxin import ModelInput, Outcome, RawInput, Task, TaskState, models
from liangxin._tasks import final_or_raise, task_id

TASK = Task(
    id="task_1",
    model="z-image",
    state=TaskState.SUCCESS,
    urls=("https://cdn.example.com/1.png",),
    created_at=datetime(2026, 5, 1, tzinfo=UTC),
    param={"input": {"prompt": "x"}},
    raw={"taskId": "task_1"},
)


class Speechless:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


# --- states ------------------------------------------------------------------------------------


def test_the_states_are_the_services_own_words_and_two_of_them_are_final() -> None:
    assert {state.value: state.is_final for state in TaskState} == {
        "waiting": False,
        "queuing": False,
        "generating": False,
        "success": True,
        "fail": True,
        "unrecognized": False,
    }
    for state in TaskState:
        assert Task(id="x", state=state).is_final is state.is_final


# --- Task --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Task)])
def test_a_task_never_changes(name: str) -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(TASK, name, None)


def test_a_task_takes_no_new_attributes() -> None:
    with pytest.raises(AttributeError):
        TASK.progress = 40  # type: ignore[attr-defined]


def test_a_task_that_only_was_accepted_waits() -> None:
    task = Task(id="x")
    assert task.state is TaskState.WAITING
    assert task.urls == ()
    assert task.raw == {}
    assert task.param is None


def test_tasks_are_keys_although_they_hold_mappings() -> None:
    twin = attrs.evolve(TASK, raw={"taskId": "task_1", "progress": 100})
    assert {TASK: "first", twin: "second"} == {TASK: "second"}
    assert hash(TASK) == hash(twin)
    assert attrs.evolve(TASK, state=TaskState.FAIL) != TASK


def test_the_repr_of_a_task_is_short_of_what_the_user_asked_for() -> None:
    shown = repr(attrs.evolve(TASK, param={"secret": "prompt"}, raw={"big": "x" * 1000}))
    assert "task_1" in shown
    assert "secret" not in shown
    assert "big" not in shown


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_tasks_inputs_and_outcomes_pickle(protocol: int) -> None:
    raw = RawInput("new-model", {"prompt": "x"})
    for value in (TASK, raw, Outcome(index=3, input=raw, task=TASK), TaskState.UNRECOGNIZED):
        assert pickle.loads(pickle.dumps(value, protocol)) == value
    assert pickle.loads(pickle.dumps(TASK, protocol)).raw == TASK.raw


# --- RawInput ----------------------------------------------------------------------------------


def test_a_raw_input_is_sent_as_given_by_copy() -> None:
    fields: Mapping[str, object] = MappingProxyType({"b": 1, "a": {"nested": [None]}})
    given = RawInput("new-model", fields)
    assert isinstance(given, ModelInput)
    assert given.slug == "new-model"
    assert given.payload() == fields
    assert list(given.payload()) == ["b", "a"]
    assert type(given.payload()) is dict
    assert given.payload() is not given.payload()


def test_a_raw_input_is_frozen_and_a_key() -> None:
    given = RawInput("new-model", {"prompt": "x"})
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        given.slug = "other"  # type: ignore[misc]
    assert {given: 1}[RawInput("new-model", {"prompt": "x"})] == 1
    assert given != RawInput("new-model", {"prompt": "y"})


SLUGS: dict[str, object] = {
    "None": None,
    "empty": "",
    "blank": " \n",
    "bytes": b"z-image",
    "a class": models.ZImage,
    "an integer of 5,000 digits": 10**5000,
    "no words": Speechless(),
    "megabytes": [b"x" * 5_000_000],
}


@pytest.mark.parametrize("slug", SLUGS.values(), ids=list(SLUGS))
def test_a_slug_that_is_none_is_an_input_error(slug: object) -> None:
    with pytest.raises(liangxin.InputError, match=r"^slug must be a model's name, not ") as caught:
        RawInput(slug, {})  # type: ignore[arg-type]
    assert caught.value.field == "slug"
    assert caught.value.value is slug
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("fields", [None, "prompt", [("prompt", "x")], {"prompt"}, 1])
def test_fields_that_are_no_mapping_are_an_input_error(fields: object) -> None:
    with pytest.raises(liangxin.InputError, match=r"^input must be a mapping of fields") as caught:
        RawInput("new-model", fields)  # type: ignore[arg-type]
    assert caught.value.field == "input"
    assert caught.value.value is fields
    assert caught.value.allowed


def test_a_model_input_of_nobodys_making_says_what_it_lacks() -> None:
    class Bare(ModelInput):
        slug = "bare"

    with pytest.raises(TypeError, match="Bare does not say what its payload is"):
        Bare().payload()


# --- Outcome -----------------------------------------------------------------------------------


def test_an_outcome_gives_its_task_or_raises_its_error() -> None:
    good = Outcome(index=0, input="x", task=TASK)
    assert good.ok
    assert good.result() is TASK
    error = liangxin.TaskFailed(TASK, "failed")
    bad = Outcome(index=1, input="x", task=TASK, error=error)
    assert not bad.ok
    with pytest.raises(liangxin.TaskFailed) as caught:
        bad.result()
    assert caught.value is error


def test_an_outcome_never_changes() -> None:
    outcome = Outcome(input="x", task=TASK)
    assert outcome.index is None
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        outcome.task = None  # type: ignore[misc]


# --- a task or its id --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["task_1", "a b", "../x", "任务", "0"])
def test_a_task_and_its_id_are_the_same_thing_to_every_verb(name: str) -> None:
    assert task_id(name) == name
    assert task_id(Task(id=name)) == name


NO_TASKS: dict[str, object] = {
    "None": None,
    "empty": "",
    "blank": "\t ",
    "a number": 17,
    "bytes": b"task_1",
    "a list": [TASK],
    "a class": Task,
    "a line from a file": "task_1\n",
    "a lone surrogate": "task_\ud800",
    "an integer of 5,000 digits": 10**5000,
    "no words": Speechless(),
    "megabytes": [b"x" * 5_000_000],
}


@pytest.mark.parametrize("task", NO_TASKS.values(), ids=list(NO_TASKS))
def test_what_is_neither_is_an_input_error(task: object) -> None:
    with pytest.raises(liangxin.InputError, match=r"^a task is a Task or its id, not ") as caught:
        task_id(task)  # type: ignore[arg-type]
    assert caught.value.field == "task"
    assert caught.value.value is task
    assert len(caught.value.message) < 200


# --- the end -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [state for state in TaskState if state is not TaskState.FAIL])
def test_a_task_that_did_not_fail_is_returned(state: TaskState) -> None:
    task = Task(id="task_1", state=state)
    assert final_or_raise(task) is task


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        ("500", "upstream error", "task_1 failed (code 500): upstream error"),
        (None, "upstream error", "task_1 failed: upstream error"),
        ("500", None, "task_1 failed (code 500): the service gave no reason"),
        (None, None, "task_1 failed: the service gave no reason"),
    ],
)
def test_a_failed_task_raises_with_its_reason(
    code: str | None, message: str | None, said: str
) -> None:
    task = Task(id="task_1", state=TaskState.FAIL, fail_code=code, fail_message=message)
    with pytest.raises(liangxin.TaskFailed) as caught:
        final_or_raise(task)
    assert str(caught.value) == said
    assert caught.value.task is task


def test_the_services_words_about_a_failure_are_clipped_and_made_printable() -> None:
    hostile = "\x1b[2J\u202e" + "long words\r\n" * 10_000
    task = Task(id="task_1", state=TaskState.FAIL, fail_code="5\x00", fail_message=hostile)
    with pytest.raises(liangxin.TaskFailed) as caught:
        final_or_raise(task)
    said = str(caught.value)
    assert said.startswith("task_1 failed (code 5�): �[2J�long words long words")
    assert said.isprintable()
    assert len(said) == 500
    assert caught.value.task.fail_message == hostile
