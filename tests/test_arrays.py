"""What docs/arrays.md tells Kubernetes, Slurm and AWS Batch to run, for each part."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from liangxin.emulator import Emulator

pytestmark = pytest.mark.campaign  # processes of a program that other tests know

PAGE = Path(__file__).parents[1] / "docs" / "arrays.md"
PARTS = 4


def command(name: str) -> str:
    """The command that a file of the page has every part run."""
    _, below = PAGE.read_text("utf-8").split(f"<!-- file: {name} -->\n```")
    text = below.partition("\n")[2].partition("```")[0]
    if name.endswith(".json"):
        text = json.loads(text)["containerOverrides"]["command"][-1]
    found = re.search(r'exec (liangxin batch .*?--out "made/\$\w+")', text, re.S)
    assert found is not None, name
    return " ".join(found[1].replace("\\\n", " ").split())


def run_part(index: int) -> int:
    """Run one part as Kubernetes would; its exit code."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    told = {"JOB_COMPLETION_INDEX": str(index), "PATH": path}
    quick = command("job.yaml").replace("--rate 5/10s", "--format quiet")  # not at this pace
    return subprocess.run(["sh", "-c", quick], env={**os.environ, **told}, timeout=60).returncode


def test_the_parts_of_an_array_pay_each_request_once(
    server: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIANGXIN_API_KEY", "sk-test")
    monkeypatch.setenv("LIANGXIN_BASE_URL", server.base_url)
    prompts = [f"fog at {hour}:00" for hour in range(6)]
    lines = [{"model": "z-image", "input": {"prompt": prompt}} for prompt in prompts]
    Path("prompts.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    assert [run_part(index) for index in range(PARTS)] == [0] * PARTS
    assert run_part(0) == 0  # started again: its node was lost
    charged = [server.tasks[each.task_id].prompt for each in server.charges]
    assert sorted(map(str, charged)) == sorted(prompts)


@pytest.mark.parametrize(
    ("name", "index", "count", "size"),
    [
        ("job.yaml", "$JOB_COMPLETION_INDEX", "4", "completions: 4"),
        ("posters.sbatch", "$SLURM_ARRAY_TASK_ID", "$SLURM_ARRAY_TASK_COUNT", "--array=0-3"),
        ("submit.json", "$AWS_BATCH_JOB_ARRAY_INDEX", "4", '"size": 4'),
    ],
)
def test_every_scheduler_runs_the_same_command_for_as_many_parts(
    name: str, index: str, count: str, size: str
) -> None:
    assert size in PAGE.read_text("utf-8").split(f"<!-- file: {name} -->")[1]
    assert command(name) == (
        f'liangxin batch prompts.jsonl --rate 5/10s --shard "{index}/{count}" --out "made/{index}"'
    )
