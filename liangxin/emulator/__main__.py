"""`python -m liangxin.emulator`."""

from liangxin.emulator._server import main

raise SystemExit(main())
