"""All mutants, or those whose names hold a text: ``python -m tests.mutation [--nightly] [text]``."""

from __future__ import annotations

import argparse
import sys

from tests.mutation.catalogue import MUTANTS
from tests.mutation.check import Caught, catch_all

SHARE = 0.95
"""Of the mutants that the sample of the gate and the fast tests must find."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", nargs="?", default="")
    parser.add_argument("--nightly", action="store_true", help="go on with a long campaign; all must be found")
    parser.add_argument("--processes", type=int, default=None)
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if options.text in mutant.name or options.text in mutant.file]
    results: list[Caught] = []
    for caught in catch_all(chosen, nightly=options.nightly, processes=options.processes):
        results.append(caught)
        by = caught.by or "NOT FOUND"
        print(
            f"{by:<9} {caught.seconds:5.1f} s  {caught.mutant.file}: {caught.mutant.name}: {caught.how[:110]}",
            flush=True,
        )
    early = sum(caught.by in ("campaign", "tests") for caught in results)
    found = sum(bool(caught.by) for caught in results)
    print(
        f"{len(results)} mutants: {sum(one.by == 'campaign' for one in results)} found by the sample of the campaign, ",
        end="",
    )
    print(f"{early} by that or the fast tests, {found} in all")
    return not (early >= SHARE * len(results) and (found == len(results) or not options.nightly))


if __name__ == "__main__":
    sys.exit(main())
