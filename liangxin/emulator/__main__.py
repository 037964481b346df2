"""`python -m liangxin.emulator`, the same as `liangxin emulator`; click comes with uvicorn."""

from liangxin.cli.emulator import emulator

emulator(prog_name="python -m liangxin.emulator")
