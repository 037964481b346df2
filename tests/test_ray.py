"""
Datasets of Ray, on two nodes of one machine, over a ledger in PostgreSQL; by the emulator's books.

`nox -s ray` installs what this needs.  `LIANGXIN_NODE_KILLS` says how often a node is killed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from liangxin import InputError
from liangxin.emulator import Emulator
from liangxin.ledger import Ledger, LedgerState
from tests.databases import database

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before Ray is imported
ray = pytest.importorskip("ray", reason="ray is not installed: nox -s ray")
psutil = pytest.importorskip("psutil")
pa = pytest.importorskip("pyarrow")

from ray.cluster_utils import Cluster  # noqa: E402

from liangxin.ray import generate  # noqa: E402

# Ray leaves sockets and files to the garbage collector, and uses what it has deprecated.
pytestmark = [pytest.mark.campaign, pytest.mark.filterwarnings("default")]

PAGE = Path(__file__).parents[1] / "docs" / "ray.md"
KILLS = int(os.environ.get("LIANGXIN_NODE_KILLS", "1"))
MAKER = {"maker": 1}
"""What a node has room for one of, so that each node has one worker."""

Generate = Callable[..., Any]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes; the driver is on the first one."""
    head = {"num_cpus": 2, "resources": MAKER, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(num_cpus=1, resources=MAKER)
        ray.init(address=cluster.address, log_to_driver=False)
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def ledger() -> str:
    return database()


@pytest.fixture
def made(cluster: Cluster, options_of: dict[str, Any], ledger: str) -> Generate:
    """What `generate` makes with a worker on each node."""

    def make(dataset: Any, **options: Any) -> Any:
        given: dict[str, Any] = {"model": "z-image", "ledger": ledger, "client": options_of}
        workers = ray.data.ActorPoolStrategy(size=2)
        given |= {"lease": 3.0, "compute": workers, "resources": MAKER, "num_cpus": 0}
        return generate(dataset, **(given | options))

    return make


def prompts(count: int) -> Any:
    """A dataset of so many requests."""
    rows = [{"id": f"fog{n}", "prompt": f"fog at {n}:00", "hour": n} for n in range(count)]
    return ray.data.from_items(rows, override_num_blocks=min(count, 3))


def charged(server: Emulator) -> Counter[str]:
    """How often each prompt was paid for."""
    return Counter(str(server.tasks[each.task_id].prompt) for each in server.charges)


def test_from_parquet_to_parquet_every_row_has_what_became_of_it(
    made: Generate, server: Emulator, tmp_path: Path
) -> None:
    prompts(20).write_parquet(str(tmp_path / "prompts"))
    dataset = ray.data.read_parquet(str(tmp_path / "prompts"))
    made(dataset, keep=["hour"], rows_per_block=4).write_parquet(str(tmp_path / "made"))
    rows = sorted(
        ray.data.read_parquet(str(tmp_path / "made")).take_all(), key=lambda row: row["hour"]
    )
    assert [row["id"] for row in rows] == [f"fog{n}" for n in range(20)]
    assert {(row["state"], row["error"], len(row["urls"])) for row in rows} == {
        ("success", None, 1)
    }
    assert {row["task_id"] for row in rows} == {each.task_id for each in server.charges}
    assert set(charged(server).values()) == {1}


def test_what_fails_is_a_row_with_an_error(made: Generate, server: Emulator) -> None:
    server.fail_next_task(message="no fog today")
    dataset = ray.data.from_items([{"prompt": "fog"}, {"prompt": ""}])
    good, bad = made(dataset).take_all()
    assert (good["state"], good["error"].split(":")[0]) == ("fail", "TaskFailed")
    assert "no fog today" in good["error"]
    assert (bad["state"], bad["task_id"], bad["urls"]) == (None, None, [])
    assert bad["error"].startswith("InputError: ")
    assert len(server.charges) == 1


def test_what_may_be_paid_is_told_and_not_sent_again(made: Generate, server: Emulator) -> None:
    server.withhold_answer_to_next_create()
    for _ in range(2):
        [row] = made(prompts(1), keep=["hour"], client=_hasty(server)).take_all()
        assert row["error"].startswith("AmbiguousCreate: ")
    assert len(server.charges) == 1


def _hasty(server: Emulator) -> dict[str, Any]:
    return {"api_key": "sk-test", "base_url": server.base_url, "create_timeout": 0.5}


def test_rows_without_an_id_that_ask_for_the_same_are_one_request(
    made: Generate, server: Emulator
) -> None:
    dataset = ray.data.from_items([{"prompt": "fog"}, {"prompt": "rain"}] * 3)
    rows = made(dataset, rows_per_block=2).take_all()
    assert len({row["task_id"] for row in rows}) == 2
    assert charged(server) == {"fog": 1, "rain": 1}


def test_results_are_saved_once_to_a_folder_that_all_workers_see(
    made: Generate, server: Emulator, tmp_path: Path
) -> None:
    job = made(prompts(2), keep=["hour"], out=tmp_path)
    [first, _] = job.take_all()
    assert first["path"] == [str(tmp_path / "fog0.png")]
    again = job.take_all()
    fetched = [each for each in server.requests if each.endpoint == "result"]
    assert len(fetched) == 2
    assert sorted(row["path"][0] for row in again) == sorted(map(str, tmp_path.iterdir()))


def test_results_are_saved_to_an_object_store_under_their_own_address(
    made: Generate, tmp_path: Path
) -> None:
    pytest.importorskip("obstore")
    [row] = made(prompts(1), keep=["hour"], out=f"file://{tmp_path}").take_all()
    assert row["path"] == [f"file://{tmp_path}/fog0.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["fog0.png"]


def test_a_result_that_cannot_be_saved_is_paid_and_has_an_error(
    made: Generate, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    [row] = made(prompts(1), keep=["hour"], out=tmp_path / "file").take_all()
    assert (row["state"], row["error"].split(":")[0]) == ("success", "DownloadError")


def test_columns_that_nobody_has_named_are_refused_before_anything_runs(made: Generate) -> None:
    dataset = ray.data.from_items([{"promt": "fog", "hour": 1}])
    with pytest.raises(InputError, match=r"'hour', 'promt'.*did you mean 'prompt'.*keep="):
        made(dataset)


def test_columns_that_turn_out_to_be_wrong_are_errors_of_their_rows(
    made: Generate, server: Emulator
) -> None:
    dataset = ray.data.from_items([{"prompt": "fog"}]).map(lambda row: {"promt": row["prompt"]})
    [row] = made(dataset).take_all()
    assert "did you mean 'prompt'" in row["error"]
    assert not server.charges


def test_a_ledger_that_is_not_there_ends_the_job_before_anything_is_created(
    made: Generate, server: Emulator
) -> None:
    nowhere = "postgresql://127.0.0.1:9/nowhere"
    with pytest.raises(ray.exceptions.RayError, match="LedgerError"):
        made(prompts(1), keep=["hour"], ledger=nowhere).take_all()
    assert not server.charges


def test_columns_of_the_result_are_not_kept(made: Generate) -> None:
    dataset = ray.data.from_items([{"prompt": "fog", "state": "fail"}])
    with pytest.raises(InputError, match=r"keep must be columns other than task_id, state"):
        made(dataset, keep=["state"])


@pytest.mark.parametrize("ledger", ["ledger.db", ""])
def test_a_ledger_that_cannot_be_shared_is_refused(made: Generate, ledger: str) -> None:
    with pytest.raises(InputError, match="ledger must be the address of a database"):
        made(prompts(1), keep=["hour"], ledger=ledger)


@pytest.mark.usefixtures("cluster")
def test_the_example_of_the_page_runs(server: Emulator, ledger: str, tmp_path: Path) -> None:
    [block] = re.findall(
        r"^```python\n(import ray\n.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S
    )
    prompts(4).drop_columns(["hour"]).write_parquet(str(tmp_path / "prompts"))
    client = {"api_key": "sk-test", "base_url": server.base_url}
    block = block.replace("/shared/", f"{tmp_path}/").replace('rate="20/10s"', f"client={client}")
    exec(block, {"LEDGER": ledger})
    rows = ray.data.read_parquet(str(tmp_path / "made")).take_all()
    assert sorted(row["id"] for row in rows) == ["fog0", "fog1", "fog2", "fog3"]
    assert sorted(row["path"][0] for row in rows) == sorted(
        map(str, (tmp_path / "pictures").iterdir())
    )


WORKER = """
import asyncio, sys
import pyarrow, ray.cloudpickle
from liangxin import ray as ours
records = ours.Records(model="z-image", defaults={}, key="id", keep=())
client = {"api_key": "sk-test", "base_url": sys.argv[1], "poll_interval": 0.02}
job = ours._Job(
    records=records, ledger=sys.argv[2], lease=60.0, out=None, timeout=None, client=client
)
worker = ours._Generate(ray.cloudpickle.dumps(job))
print(asyncio.run(worker(pyarrow.table({"prompt": ["fog"]})))["state"][0])
"""


def test_a_worker_that_nobody_closes_lets_its_process_end(server: Emulator, ledger: str) -> None:
    program = [sys.executable, "-c", WORKER, server.base_url, ledger]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, "success\n"), ended.stderr


def test_without_ray_a_sentence_says_which_extra_is_missing() -> None:
    program = "import sys; sys.modules['ray'] = None; import liangxin.ray"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert 'liangxin.ray needs an extra: pip install "liangxin[ray]"' in ended.stderr


@pytest.mark.parametrize("kill", range(KILLS))
def test_a_node_that_dies_costs_nothing_twice_and_loses_nothing(
    kill: int, made: Generate, server: Emulator, cluster: Cluster, ledger: str
) -> None:
    server.speed = 20
    dataset = prompts(300)
    job = made(dataset, keep=["hour"], rows_per_block=10, max_in_flight=30)
    rows = []
    for row in job.iter_rows():
        rows.append(row)
        if len(rows) == 40 + 10 * (kill % 10):
            [node] = cluster.worker_nodes
            assert len(server.charges) < 300
            _kill(cluster, node)
            cluster.add_node(num_cpus=1, resources=MAKER)
    assert sorted(row["hour"] for row in rows) == list(range(300))
    doubtful = [row for row in rows if row["error"] is not None]
    assert all(row["error"].startswith("AmbiguousCreate: ") for row in doubtful)
    paid = charged(server)
    assert paid.total() == len(paid)
    told = {row["prompt"] for row in rows if row["state"] == "success"}
    assert paid.keys() <= told | {row["prompt"] for row in doubtful}
    assert told <= paid.keys()
    with Ledger(ledger) as known:
        counts = known.counts()
    assert sum(counts.values()) == 300
    assert counts.keys() <= {LedgerState.SUCCEEDED, LedgerState.AMBIGUOUS}
    print(f"kill {kill}: {len(paid)} paid, {len(doubtful)} in doubt")  # noqa: T201


def _kill(cluster: Cluster, node: Any) -> None:
    """End a node as a power cut does: all its processes at once."""
    [raylet] = node.all_processes["raylet"]
    processes = psutil.Process(raylet.process.pid).children(recursive=True)
    for each in processes:
        each.kill()
    cluster.remove_node(node, allow_graceful=False)
