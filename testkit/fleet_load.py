"""Fleet load: 20 fetchers and 2,000 tiny jobs of three clients; prints what a job costs and who has to wait.

One client queues 1,900 files and one 97; then one comes with 3 more, and only then the fetchers start. A counting
proxy stands in front of the embedded stack, with ports of its own for each role. All settings are the shipped ones.
Exit 1 where results are missing, where more than 1.3 claims are tried for one that is won, or where a client that
came behind the others waits for more than half of all results.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

TESTKIT = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTKIT), str(TESTKIT / "interop")]

import crew as crews
import peer
from proxy import Proxy

CLAIMS_RATIO_MAX = 1.3
SETTINGS = {
    "client": ["upload.source.directory.settle=200ms"],
    "fetcher": ["analyse.sink.processor.builtin=fingerprint"],
    "watcher": [],
}
TENTHS = 10


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fetchers", type=int, default=20, help="how many fetchers (20)")
    parser.add_argument(
        "--files", type=int, nargs="+", default=[1900, 97, 3], help="of each client; from the third on behind the others"
    )
    parser.add_argument("--seconds-max", type=float, default=900.0, help="each phase ends by then (900)")
    parser.add_argument("--keep", action="store_true", help="keep the work folder on success too")
    parser.add_argument("--work", type=Path, help="where the work folder is made (the temporary folder)")
    return parser.parse_args()


@dataclass
class Spent:
    """What was used up to a moment."""

    at: float
    cpu: Counter[str]
    asked: Counter[tuple[str, str, str]]
    done: int = 0


@dataclass
class Load:
    """One run."""

    asked: argparse.Namespace
    folder: Path
    clients: list[crews.Member] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    shards: dict[str, Counter[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.crew = crews.Crew(self.folder)
        self.environment = crews.stack(self.crew)
        self.service = peer.Service(self.environment)
        self.proxy = Proxy()
        self.ports = {role: self.proxy.environment(role, self.environment) for role in SETTINGS}
        self.jobs = sum(self.asked.files)

    def spent(self) -> Spent:
        """CPU seconds and requests so far."""
        cpu: Counter[str] = Counter()
        for member in self.crew.members:
            cpu[member.role] += member.cpu()
        own = os.times()
        cpu["proxy and this program"] = own.user + own.system
        return Spent(time.monotonic(), cpu, self.proxy.counts.asked.copy(), self.results())

    def results(self) -> int:
        """How many results are committed, as the fetchers tell."""
        return sum(member.logged().count(" complete file=") for member in self.crew.of("fetcher"))

    def collected(self) -> int:
        """How many results lie in the clients' folders."""
        return sum(
            1
            for number in range(len(self.asked.files))
            for path in (self.folder / f"out-{number + 1}").iterdir()
            if not path.name.startswith(".")
        )

    def client(self, number: int, count: int) -> None:
        """Starts a client with its files; returns once all are sent."""
        inbox, results = self.folder / f"in-{number + 1}", self.folder / f"out-{number + 1}"
        inbox.mkdir()
        results.mkdir()
        for file in range(count):
            (inbox / f"{file:04}.raw").write_text(f"client {number + 1} file {file}\n")
        places = [f"upload.source.directory.path={inbox}", f"receive.sink.directory.path={results}"]
        settings = [*SETTINGS["client"], *places]
        self.clients.append(self.crew.run("client", f"client-{number + 1}", settings, self.ports["client"]))

    def wait(self, what: str, look) -> None:
        """Waits with the bound that was asked for."""
        if not crews.until(what, look, self.asked.seconds_max, self.crew):
            raise TimeoutError(what)

    def queue(self) -> None:
        """All files are sent, the last client's behind the others'."""
        for number, count in enumerate(self.asked.files):
            self.client(number, count)
            if number >= 1:
                wanted = sum(self.asked.files[: number + 1])
                self.wait(
                    f"{wanted} files are sent",
                    lambda wanted=wanted: (
                        sum(client.logged().count(" sent file=") for client in self.clients) >= wanted
                    ),
                )
        for job in self.service.jobs():
            self.shards.setdefault(job["client"], Counter())[str(job["lane"])] += 1

    def work(self) -> list[Spent]:
        """The fetchers take all jobs; gives what was spent at each tenth."""
        marks = [self.spent()]
        for number in range(self.asked.fetchers):
            self.crew.run("fetcher", f"fetcher-{number + 1}", SETTINGS["fetcher"], self.ports["fetcher"])
        self.crew.run("watcher", "watcher", SETTINGS["watcher"], self.ports["watcher"])
        for tenth in range(1, TENTHS + 1):
            wanted = self.jobs * tenth // TENTHS
            self.wait(f"{wanted} results", lambda wanted=wanted: self.results() >= wanted)
            marks.append(self.spent())
        self.wait("results collected", lambda: self.collected() >= self.jobs)
        self.wait("an empty bucket", lambda: not self.service.keys())
        marks.append(self.spent())
        return marks

    def run(self) -> bool:
        """All of it; whether it was as it should be."""
        start = self.spent()
        self.queue()
        queued = self.spent()
        print(f"{self.jobs} jobs queued in {queued.at - start.at:.0f} s", flush=True)
        marks = self.work()
        print(
            f"{self.jobs} results in {marks[TENTHS].at - marks[0].at:.0f} s; collected and cleaned after "
            f"{marks[-1].at - marks[0].at:.0f} s\n"
        )
        self.crew.end("client", "fetcher", "watcher")
        self.tell_claims()
        self.tell_waits(self.service.jobs())
        self.tell_requests("sending", start, queued)
        self.tell_requests("from the fetchers' start until all is collected and clean", marks[0], marks[-1])
        self.tell_cpu(start, queued, marks)
        self.faults += self.crew.faults
        for fault in self.faults:
            print(f"FAULT  {fault}")
        return not self.faults

    def tell_claims(self) -> None:
        """Claims tried for each claim won."""
        counts = self.proxy.counts
        won = counts.claims_tried - counts.claims_lost
        ratio = counts.claims_tried / won
        print(f"claims tried {counts.claims_tried}, won {won}: {ratio:.2f} tried per claim won")
        told = ", ".join(f"{count} times {what}" for what, count in sorted(counts.faults.items()))
        print(f"requests that an SDK repeated: {counts.repeated} ({told or 'no fault of the stack seen'})")
        if ratio > CLAIMS_RATIO_MAX:
            self.faults.append(f"{ratio:.2f} claims tried per claim won, more than {CLAIMS_RATIO_MAX}")

    def tell_waits(self, jobs: list[dict]) -> None:
        """When each client's last job was done, and which it was of all."""
        order = sorted(jobs, key=lambda job: job["processed"])
        if {job["status"] for job in jobs} != {"COMPLETED"} or len(jobs) != self.jobs:
            self.faults.append(f"jobs are {Counter(job['status'] for job in jobs)}")
        first = min(job["assigned"] for job in jobs)
        begun = peer.datetime.fromisoformat(first)
        count = len(self.asked.files)
        ids = [self.folder / f"state-client-{number + 1}" / "client.pem" for number in range(count)]
        print("\nclient  files  last result: rank of all, seconds after the first claim; seconds after its creation")
        for number, pem in enumerate(ids):
            client = peer.client_of(load(pem))
            ranks = [rank for rank, job in enumerate(order, 1) if job["client"] == client]
            last = order[ranks[-1] - 1]
            done = peer.datetime.fromisoformat(last["processed"])
            created = peer.datetime.fromisoformat(last["created"])
            lanes = ", ".join(f"{count} in {lane}" for lane, count in sorted(self.shards[client].items()))
            print(
                f"{number + 1:6} {self.asked.files[number]:6}  {ranks[-1]:5} of {len(order)}, "
                f"{(done - begun).total_seconds():6.1f} s; {(done - created).total_seconds():6.1f} s  ({lanes})"
            )
            # One that came behind thousands waits for a few of theirs, not for most of them.
            if number >= 2 and ranks[-1] > len(order) // 2:
                self.faults.append(f"client {number + 1}, which came behind the others, waited for most of their jobs")

    def tell_requests(self, what: str, before: Spent, after: Spent) -> None:
        """Requests per job, by kind and role."""
        asked = after.asked - before.asked
        roles = sorted({role for role, _, _ in asked})
        print(f"\nrequests per job, {what}")
        for service in ("dynamodb", "s3"):
            kinds = sorted({kind for _, of, kind in asked if of == service})
            print(f"  {service:24}" + "".join(f"{role:>10}" for role in roles) + "       all")
            rows = {kind: [asked[role, service, kind] / self.jobs for role in roles] for kind in kinds}
            rows["all"] = [sum(row[index] for row in rows.values()) for index in range(len(roles))]
            for kind, row in rows.items():
                print(f"  {kind:24}" + "".join(f"{count:10.2f}" for count in (*row, sum(row))))

    def tell_cpu(self, start: Spent, queued: Spent, marks: list[Spent]) -> None:
        """CPU by role, and whether a job costs more while many wait."""
        print("\nCPU ms per job         sending  fetching to the end")
        for role in marks[-1].cpu:
            sending = (queued.cpu[role] - start.cpu[role]) / self.jobs * 1000
            working = (marks[-1].cpu[role] - marks[0].cpu[role]) / self.jobs * 1000
            print(f"  {role:22}{sending:7.1f}{working:21.1f}")
        print("\nby tenths of the jobs: jobs still waiting, seconds, CPU ms per job of the stack and of the fetchers")
        for before, after in zip(marks, marks[1 : TENTHS + 1], strict=False):
            jobs = max(1, after.done - before.done)
            of_stack, of_fetchers = (
                (after.cpu[role] - before.cpu[role]) / jobs * 1000 for role in ("stack", "fetcher")
            )
            waiting = self.jobs - before.done
            print(f"  {waiting:6} {after.at - before.at:6.1f} s {of_stack:8.1f} {of_fetchers:8.1f}")


def load(pem: Path):
    """A private key."""
    return peer.serialization.load_pem_private_key(pem.read_bytes(), password=None)


def main() -> None:
    """Runs it in a folder that is kept where something was wrong."""
    asked = options()
    folder = Path(tempfile.mkdtemp(prefix="roundtrip-load-", dir=asked.work)).resolve()
    print(f"{asked.fetchers} fetchers, files {json.dumps(asked.files)}, in {folder}", flush=True)
    run = Load(asked, folder)
    good = False
    try:
        good = run.run()
    except TimeoutError as error:
        print(f"FAULT  not within {asked.seconds_max:.0f} s: {error}")
    finally:
        run.crew.kill_all()
        if good and not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"everything is kept in {folder}", flush=True)
    sys.exit(not good)


if __name__ == "__main__":
    main()
