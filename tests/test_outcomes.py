"""Outcomes as a table: the same flat row for each, whatever became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import liangxin
from liangxin import Client, Outcome, RawInput, Task, outcomes_to_rows
from liangxin.emulator import Emulator, Fault
from tests.test_contact_sheet import FOG, LOST, TASK

FAILED = liangxin.TaskFailed(TASK, "task_1 failed: no taste")

ROW = {
    "key": "fog",
    "index": None,
    "task_id": "task_1",
    "model": "z-image",
    "state": "success",
    "ok": True,
    "error": None,
    "message": None,
    "money": "paid",
    "prompt": "a lighthouse in fog",
    "urls": ["https://cdn.example.com/1.png"],
    "files": ["fog.png"],
    "created_at": TASK.created_at,
    "completed_at": TASK.completed_at,
    "seconds": 7.0,
}


def test_a_success_is_told_in_full() -> None:
    outcome = Outcome(key="fog", input=FOG, task=TASK, files=(Path("fog.png"),))
    assert outcomes_to_rows(iter([outcome])) == [ROW]


def test_every_row_has_the_same_names() -> None:
    rows = outcomes_to_rows(
        [
            Outcome(index=0, input=FOG, task=TASK),
            Outcome(index=1, input=FOG, error=LOST),
            Outcome(index=2, input=RawInput("new-model", {}), task=Task(id="t")),
            Outcome(index=3, input=object()),
        ]
    )
    assert [list(row) for row in rows] == [list(ROW)] * 4
    assert [row["model"] for row in rows] == ["z-image", "z-image", "new-model", None]
    assert [row["index"] for row in rows] == [0, 1, 2, 3]
    assert outcomes_to_rows([]) == []


@pytest.mark.parametrize(
    ("outcome", "money"),
    [
        (Outcome(input=FOG, task=TASK), "paid"),
        (Outcome(input=FOG, task=TASK, error=FAILED), "paid"),
        (Outcome(input=FOG, error=liangxin.DownloadError("gone")), "paid"),
        (Outcome(input=FOG, error=LOST), "maybe paid"),
        (Outcome(input=FOG, error=liangxin.BadRequest("no", status=400)), "refused"),
        (Outcome(input=FOG, error=liangxin.InputError("no", field="prompt")), "nothing"),
        (Outcome(input=FOG, error=liangxin.NotSent("no network")), "nothing"),
    ],
)
def test_money_is_never_a_guess(outcome: Outcome, money: str) -> None:
    [row] = outcomes_to_rows([outcome])
    assert row["money"] == money
    assert row["message"] == (str(outcome.error) if outcome.error else None)


@pytest.mark.parametrize(
    ("param", "prompt"),
    [
        ({"model": "z-image", "input": {"prompt": "fog"}}, "fog"),
        ({"input": {"prompt": 7}}, None),
        ({"input": "fog"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_task_of_unknown_input_has_the_prompt_that_the_service_kept(
    param: dict[str, object] | None, prompt: str | None
) -> None:
    [row] = outcomes_to_rows([Outcome(input=None, task=Task(id="t", param=param))])
    assert row["prompt"] == prompt


def test_the_rows_of_many_agree_with_the_books(
    server: Emulator, options_of: dict[str, Any]
) -> None:
    server.add_fault(Fault("create", status=422, prompt="fog 1"))
    inputs = [liangxin.models.ZImage(prompt=f"fog {number}") for number in range(3)]
    with Client(**options_of) as client, client.run_many(inputs) as outcomes:
        rows = outcomes_to_rows(outcomes)
    assert {row["prompt"]: row["money"] for row in rows} == {
        "fog 0": "paid",
        "fog 1": "refused",
        "fog 2": "paid",
    }
    paid = {row["task_id"] for row in rows if row["ok"]}
    assert paid == {charge.task_id for charge in server.charges}


# --- in a table --------------------------------------------------------------------------------


def mixed() -> list[dict[str, object]]:
    return outcomes_to_rows(
        [
            Outcome(index=0, input=FOG, error=LOST),
            Outcome(index=1, key="fog", input=FOG, task=TASK, files=(Path("fog.png"),)),
        ]
    )


def test_pandas_takes_the_rows() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is installed by: nox -s browser")
    table = pandas.DataFrame(mixed())
    sizes = table.groupby(["model", "money"], dropna=False).size()
    assert sizes.to_dict() == {("z-image", "maybe paid"): 1, ("z-image", "paid"): 1}
    assert table["seconds"].sum() == 7.0
    assert table["created_at"].max() == TASK.created_at
    assert table.explode("files")["files"].dropna().tolist() == ["fog.png"]


def test_polars_takes_the_rows() -> None:
    polars = pytest.importorskip("polars", reason="polars is installed by: nox -s browser")
    table = polars.DataFrame(mixed(), infer_schema_length=None)
    doubts = table.filter(polars.col("money") == "maybe paid").select("key", "prompt", "message")
    assert doubts.rows() == [(None, FOG.prompt, "the answer was lost")]
    assert table["seconds"].sum() == 7.0
    assert table["created_at"].max() == TASK.created_at
    assert table.explode("files")["files"].drop_nulls().to_list() == ["fog.png"]


def test_polars_takes_rows_whose_last_one_alone_says_something() -> None:
    polars = pytest.importorskip("polars", reason="polars is installed by: nox -s browser")
    rows = outcomes_to_rows([Outcome(index=number, input=FOG) for number in range(200)]) + mixed()
    table = polars.DataFrame(rows, infer_schema_length=None)
    assert table["message"].drop_nulls().to_list() == ["the answer was lost"]
