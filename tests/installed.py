"""Run by `nox -s package` in an environment that holds the built wheel and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib import metadata, util
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("liangxin"))


def check_core() -> None:
    import liangxin

    assert "site-packages" in (liangxin.__file__ or ""), liangxin.__file__
    heavy = {"httpx", "click", "rich", "starlette", "PIL", "attrs", "anyio"} & set(sys.modules)
    assert not heavy, f"import liangxin imports {heavy}"
    home = Path(liangxin.__file__ or "").parent
    assert (home / "py.typed").exists()
    assert (home / "emulator" / "clips").is_dir()
    assert not (home / "_tools").exists()
    assert all(util.find_spec(name) is None for name in ("click", "PIL", "starlette"))
    installed = {each.metadata["Name"].lower() for each in metadata.distributions()}
    dependencies = installed - {"pip", "setuptools", "liangxin"}
    assert len(dependencies) <= 10, dependencies
    try:
        import liangxin.emulator
    except ImportError as exc:
        assert "liangxin[emulator]" in str(exc)
    else:
        raise AssertionError("the emulator needs its extra")
    liangxin.Client("sk-x", base_url="https://x.example").close()
    command = subprocess.run([COMMAND, "demo"], capture_output=True, text=True, check=False)
    assert command.returncode != 0
    assert "liangxin[" in command.stderr, command.stderr
    assert "Traceback" not in command.stderr


def check_demo() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "demo"
        subprocess.run([COMMAND, "demo", "--out", str(out)], check=True)
        kinds = [path.suffix for path in out.rglob("*")]
        assert (out / "index.html").exists()
        assert kinds.count(".mp4") == 1, kinds
        assert sum(kind in (".png", ".jpg") for kind in kinds) == 11, kinds


if __name__ == "__main__":
    print("checking", sys.argv[1], "in", sys.prefix)
    {"core": check_core, "demo": check_demo}[sys.argv[1]]()
