#!/bin/sh
# find-python MODULES PYTHON...: prints, in JSON, what there is to know of the first Python that is new enough and has the modules.
# Each is run, since a name proves nothing: pyenv leaves shims without a Python behind them, Debian ships Python without ensurepip.
# Of one in a virtual environment it is told where that came from: ours may be asked for what is to take its own place.
modules=$1
shift
for python in "$@"; do
    "$python" -c '
import json, os, platform, sys
if sys.version_info < (3, 10):
    sys.exit(1)
for name in sys.argv[1].split():
    __import__(name)
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION")
except (OSError, ValueError):
    libc = None
print(json.dumps({
    "path": sys.executable if sys.prefix == sys.base_prefix else os.path.realpath(sys.executable), "prefix": sys.base_prefix,
    "version": "%d.%d" % sys.version_info[:2], "full_version": platform.python_version(),
    "machine": platform.machine(), "glibc": (libc or "").rpartition(" ")[2],
}))
' "$modules" 2>/dev/null && exit 0
done
exit 1
