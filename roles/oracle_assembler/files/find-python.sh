#!/bin/sh
# Prints path and version of the first Python among the arguments that can carry the service. Each is run, since a name
# proves nothing: pyenv leaves shims without a Python behind them, Debian ships Python without ensurepip.
for python in "$@"; do
    "$python" -c '
import sys
if sys.version_info < (3, 10):
    sys.exit(1)
import ensurepip, venv
print(sys.executable, "%d.%d" % sys.version_info[:2])
' 2>/dev/null && exit 0
done
exit 1
