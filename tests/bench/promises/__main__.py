"""The promises without the contest, for those who work on them.

python -m ansible_collections.bigfile.oci.tests.bench.promises [--smoke] FOLDER [link] [memory] [journal] [unchanged]
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

from ..claims import table
from .suite import promises


def main() -> None:
    """Print the claims as a table and the figures as JSON."""
    warnings.filterwarnings("ignore", message="Unverified HTTPS request")
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="for all that is made")
    parser.add_argument("names", nargs="*", help="all when none is named")
    parser.add_argument("--smoke", action="store_true", help="small sizes: whether it works, not how well")
    asked = parser.parse_args()
    known = promises(asked.folder)
    for name in asked.names or known:
        found = known[name](smoke=asked.smoke)
        print(f"{table(found.claims)}\n\n{json.dumps({name: found.figures}, indent=2)}\n")


if __name__ == "__main__":
    main()
