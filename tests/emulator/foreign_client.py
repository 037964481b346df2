"""
A client that was not written here, on the emulator: `nox -s foreign`, or with a scratch folder.

`ai-sprite-image-generator` is a program on npm for kie.ai, whose API has the shape of the Market's:
it creates a task of `nano-banana-pro`, polls it, fetches the sheet and cuts it up.  It has no
option for its host, so that host's name is led to the emulator; its own code is as published.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from liangxin.emulator import Emulator

CLIENT = "ai-sprite-image-generator"
VERSION = "1.0.7"
LEAD_HERE = """\
const real = globalThis.fetch;
globalThis.fetch = (url, options) =>
  real(String(url).replace("https://api.kie.ai", process.env.EMULATOR), options);
"""


def main(folder: Path) -> None:
    """Install the client in `folder`, let it make four pictures, and look at what it did."""
    npm = ["npm", "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit"]
    subprocess.run([*npm, f"{CLIENT}@{VERSION}"], check=True)
    (folder / "lead_here.mjs").write_text(LEAD_HERE)
    emulator = Emulator(seed=1, speed=100, api_keys={"sk-foreign"})
    with emulator.serve() as url:
        subprocess.run(
            [
                *("node", "--import", "./lead_here.mjs", f"node_modules/{CLIENT}/dist/cli.js"),
                *("icons of fruit", "--rows", "2", "--columns", "2", "--resolution", "1K"),
                *("--output", "out"),
            ],
            cwd=folder,
            env=os.environ | {"EMULATOR": url, "KIE_API_KEY": "sk-foreign"},
            check=True,
        )
    [charge] = emulator.charges
    assert charge.model == "nano-banana-pro", charge
    assert [seen.status for seen in emulator.requests] == [200] * len(emulator.requests)
    made = sorted(path.name for path in (folder / "out" / "images").iterdir())
    assert made == [f"image-{number}.png" for number in range(1, 5)], made


if __name__ == "__main__":
    main(Path(sys.argv[1]))
