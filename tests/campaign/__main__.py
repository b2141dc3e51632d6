"""The campaign by hand: ``python -m tests.campaign --seeds 100000 --pairs``, or ``--seed 7`` for one world."""

from __future__ import annotations

import argparse
import logging
import sys
import time

from tests.campaign.campaign import Campaign
from tests.campaign.crash_points import SCENARIOS
from tests.campaign.world import World


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", action="store_true", help="what the gate runs; ends with the first finding")
    parser.add_argument("--seeds", type=int, default=0, help="how many worlds to play")
    parser.add_argument("--first", type=int, default=0, help="the first of their seeds")
    parser.add_argument("--singles", action="store_true", help="every fault at every point of every scenario")
    parser.add_argument("--pairs", action="store_true", help="every two crashes or errors of the store")
    parser.add_argument("--scenario", choices=SCENARIOS, action="append", help="only these of the scenarios")
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--stop", action="store_true", help="end with the first finding")
    parser.add_argument("--seed", type=int, help="play one world and print what happened")
    parser.add_argument("--digests", type=int, help="print the digest of the trace of so many worlds")
    options = parser.parse_args()
    logging.disable()
    if options.seed is not None:
        return show(options.seed)
    if options.digests is not None:
        print("\n".join(map(digest, range(options.digests))))
        return 0
    campaign = Campaign(processes=options.processes, stop=options.sample or options.stop)
    started = time.monotonic()
    if options.sample:
        campaign.sample()
    if options.singles:
        campaign.every_fault(1, options.scenario)
    if options.seeds and not (options.stop and campaign.findings):
        campaign.seeds(range(options.first, options.first + options.seeds))
    if options.pairs and not (options.stop and campaign.findings):
        campaign.every_fault(2, options.scenario)
    seconds = time.monotonic() - started
    for finding in campaign.findings[:20]:
        print(finding)
    never = campaign.never
    if not options.sample:
        print(campaign.sometimes.report())
    print(f"{campaign.schedules} schedules in {seconds:.0f} s: {campaign.schedules / seconds:.0f} per second")
    print(f"{len(campaign.findings)} of them show that something does not hold")
    if never and not campaign.findings:
        print("never exercised:", *never, sep="\n    ")
    return bool(campaign.findings or never)


def digest(seed: int) -> str:
    """A hash of everything that happens in a world."""
    world = World(seed)
    world.play()
    return world.simulation.trace.digest


def show(seed: int) -> int:
    world = World(seed)
    violations = world.play()
    print(world.simulation.trace)
    for violation in violations:
        print(violation)
    return bool(violations)


if __name__ == "__main__":
    sys.exit(main())
