"""Chaos: a fleet under kill -9, SIGSTOP, cut connections and throttling; afterwards every promise is judged.

Two clients, four fetchers and two watchers work on the embedded stack, through a proxy that does harm, with an
analysis container that has moods. Files are dropped in all the while. Then the faults end, and when all is calm
every file must have its one right result and nothing must be left. Exit 0: every promise held; 1: not, with names.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

TESTKIT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTKIT), str(TESTKIT / "interop")]

import crew as crews
import judge as judges
import peer
from faults import Faults
from files import Results, draw, drop
from monkey import Monkey
from proxy import Proxy
from sabotage import sabotage
from station import FAST

CLIENTS, FETCHERS, WATCHERS = 2, 4, 2
LEASE_SECONDS = 6
LOOK_SECONDS = 0.5
TELL_SECONDS = 10.0

SETTINGS = {
    "client": [
        *FAST["client"],
        "upload.chunker.fixed.size=1 MiB",
        "upload.retry.attempts-max=50",
        "upload.retry.interval=200ms",
        "upload.retry.interval-max=2s",
    ],
    "fetcher": [
        *FAST["fetcher"],
        f"analyse.claim.lease={LEASE_SECONDS}s",
        "analyse.claim.heartbeat=2s",
        "analyse.claim.stall=8s",
        "analyse.claim.report=2s",
        "analyse.claim.failing-rest=3s",
        "analyse.sink.processor.timeout=30s",
        "analyse.retry.attempts-max=20",
    ],
    "watcher": [
        *FAST["watcher"],
        "stream.lease=5s",
        # Twice as long as a request can be under way here.
        "sweep.source.objects.age-min=20s",
        "sweep.source.objects.every=5s",
        "restart-stalled.retry.attempts-max=200",
        "restart-stalled.retry.interval=200ms",
        "restart-stalled.retry.interval-max=1s",
    ],
}


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long faults and new files go on (10)")
    parser.add_argument("--files", type=int, default=500, help="how many files are dropped in (500)")
    parser.add_argument("--bytes-max", type=int, default=20_000_000, help="size of the largest (20000000)")
    parser.add_argument("--seed", type=int, default=1, help="of files, moods and faults (1)")
    parser.add_argument("--calm-seconds", type=float, default=240.0, help="how long calm may take then (240)")
    parser.add_argument("--sabotage", action="store_true", help="try the judge: break each promise before it looks")
    parser.add_argument("--keep", action="store_true", help="keep the work folder on success too")
    parser.add_argument("--work", type=Path, help="where the work folder is made (the temporary folder)")
    return parser.parse_args()


class Show:
    """One run."""

    def __init__(self, asked: argparse.Namespace, folder: Path) -> None:
        self.asked = asked
        self.folder = folder
        self.seconds = asked.minutes * 60
        self.crew = crews.Crew(folder)
        self.environment = crews.stack(self.crew)
        self.proxy = Proxy()
        self.faults = Faults(asked.seed, self.proxy.counts.harm)
        self.proxy.plan = self.faults.plan
        self.service = peer.Service(self.environment)
        self.files = draw(asked.seed, asked.files, CLIENTS, self.seconds, asked.bytes_max)
        self.inboxes = [folder / f"in-{number + 1}" for number in range(CLIENTS)]
        self.results = [Results(folder / f"out-{number + 1}") for number in range(CLIENTS)]
        self.late: set[str] = set()
        for path in (*self.inboxes, *(result.folder for result in self.results)):
            path.mkdir()

    def states(self, role: str) -> list[Path]:
        """The state folders of a role."""
        return [self.folder / f"state-{member.name}" for member in self.crew.of(role)]

    def start(self) -> None:
        """Starts the lab and every role, each role through ports of its own."""
        lab = self.crew.add(
            "lab", "lab", [sys.executable, TESTKIT / "chaos" / "lab.py", self.asked.seed], {}
        )
        if not crews.until("the lab listens", lambda: lab.output.read_text().endswith("\n"), 20, self.crew):
            sys.exit(f"the lab did not start: {lab.logged()}")
        self.lab = lab.output.read_text().strip()
        ports = {role: self.proxy.environment(role, self.environment) for role in SETTINGS}
        for number in range(WATCHERS):
            self.crew.run("watcher", f"watcher-{number + 1}", SETTINGS["watcher"], ports["watcher"])
        for number in range(FETCHERS):
            settings = [*SETTINGS["fetcher"], f"analyse.sink.processor.url={self.lab}"]
            self.crew.run("fetcher", f"fetcher-{number + 1}", settings, ports["fetcher"])
        for number in range(CLIENTS):
            places = [
                f"upload.source.directory.path={self.inboxes[number]}",
                f"receive.sink.directory.path={self.results[number].folder}",
            ]
            settings = [*SETTINGS["client"], *places]
            self.crew.run("client", f"client-{number + 1}", settings, ports["client"])

    def storm(self) -> None:
        """Files and faults, for as long as was asked."""
        monkey = Monkey(self.asked.seed, self.crew, self.proxy, LEASE_SECONDS)
        self.faults.stormy = True
        waiting = list(self.files)
        begun = time.monotonic()
        looked = told = begun
        while (now := time.monotonic()) < begun + self.seconds or waiting:
            while waiting and waiting[0].drop_at <= now - begun:
                file = waiting.pop(0)
                drop(file, self.inboxes[file.client])
            if now < begun + self.seconds:
                monkey.tick()
            self.crew.tend()
            if now - looked > LOOK_SECONDS:
                looked = now
                there = sum(result.look() for result in self.results)
                if now - told > TELL_SECONDS:
                    told = now
                    self.tell(now - begun, len(self.files) - len(waiting), there)
            time.sleep(crews.POLL_SECONDS)
        self.faults.stormy = False
        monkey.rest()

    def tell(self, seconds: float, dropped: int, there: int) -> None:
        """One line on how it goes."""
        killed = sum(count for what, count in self.crew.done.items() if "kill" in what)
        harm = self.proxy.counts.harm.total()
        print(
            f"{seconds:5.0f} s: {dropped} files dropped, {there} results, {killed} kills, {harm} requests harmed",
            flush=True,
        )

    def settle(self) -> str:
        """Waits until all is calm; gives what is not, if anything."""
        states = self.states("fetcher")
        begun = time.monotonic()
        left = told = ""
        while time.monotonic() < begun + self.asked.calm_seconds:
            self.crew.tend()
            left = judges.calm(self.service, len(self.files), self.results, states, self.late)
            if not left:
                print(f"calm after {time.monotonic() - begun:.0f} s without faults", flush=True)
                return ""
            if left != told:
                told = left
                print(f"  waiting: {left}", flush=True)
            time.sleep(1.0)
        return left

    def run(self) -> bool:
        """All of it; whether every promise held."""
        self.start()
        self.storm()
        left = self.settle()
        counts = json.loads(urllib.request.urlopen(f"{self.lab}counts", timeout=10).read())
        self.crew.end("client", "fetcher", "watcher")
        clients, fetchers = self.states("client"), self.states("fetcher")
        damage = (
            sabotage(self.service, self.files, self.results, fetchers[0]) if self.asked.sabotage else []
        )
        verdict = judges.judge(
            self.service, self.environment, self.files, self.results, clients, fetchers
        )
        if left:
            verdict.fault(f"not calm after {self.asked.calm_seconds:.0f} s: {left}")
        verdict.faults += self.crew.faults
        self.report(verdict, counts)
        unseen = [what for what in damage if not any(what in fault for fault in verdict.faults)]
        if damage:
            print(f"the judge noticed {len(damage) - len(unseen)} of {len(damage)} broken promises")
        for what in unseen:
            print(f"UNSEEN  {what}")
        return not unseen if damage else not verdict.faults

    def report(self, verdict: judges.Verdict, lab: dict) -> None:
        """Prints what was survived and what was not."""
        counts = self.proxy.counts
        print("\nSurvived")
        for what, count in sorted(self.crew.done.items()):
            print(f"{count:7}  {what}")
        for what, count in sorted(counts.harm.items()):
            print(f"{count:7}  {what}")
        results = sum(lab["results"].values())
        lines = {
            "requests in all": counts.asked.total(),
            "of them repeated by an SDK": counts.repeated,
            "conditional writes that lost": counts.conditions_lost,
            "claims tried": counts.claims_tried,
            "claims lost to another": counts.claims_lost,
            **verdict.told,
            **{f"the lab answered {mood}": count for mood, count in lab["answers"].items()},
            "objects that landed after their job was cleaned, and were swept": len(self.late - set(self.service.keys())),
            "files the lab was asked for": len(lab["asked"]),
            "results of the lab that were discarded": results - verdict.told["commits of a result in the stream"],
        }
        for what, count in lines.items():
            print(f"{count:7}  {what}")
        print(f"\n{len(self.files)} files, {sum(file.size for file in self.files):,} bytes")
        for fault in verdict.faults:
            print(f"FAULT  {fault}")
        print(f"{len(verdict.faults)} faults" if verdict.faults else "every promise held")


def main() -> None:
    """Runs the show in a folder that is kept where a promise broke."""
    asked = options()
    folder = Path(tempfile.mkdtemp(prefix="roundtrip-chaos-", dir=asked.work)).resolve()
    print(f"seed {asked.seed}, {asked.files} files, {asked.minutes:g} minutes, in {folder}", flush=True)
    show = Show(asked, folder)
    held = False
    try:
        held = show.run()
    finally:
        show.crew.kill_all()
        if held and not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"everything is kept in {folder}", flush=True)
    sys.exit(not held)


if __name__ == "__main__":
    main()
