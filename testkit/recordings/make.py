#!/usr/bin/env python3
"""Writes the told histories of this folder: `python3 testkit/recordings/make.py [--check] [NAME...]`.

Each is told as a story, write by write, in the form that `roundtrip record` writes. What our own programs write in it is
held against the real recordings beside it (`form.py`): what no real one has is named, and nothing is written then.
`--check` writes nothing at all. Nothing is drawn by chance without a seed: the files come out the same.
"""

import copy
import json
import random
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

from form import Form

HERE = Path(__file__).parent
MIB = 1 << 20
ORIGIN = "written by testkit/recordings/make.py in the form of real-round-trip"
OPERATOR_ASKED = "an operator asked for it"
START = 1_772_000_000_000  # 2026-02-25T06:13:20Z
STORIES = {}


def iso(ms):
    moment = datetime.fromtimestamp(ms // 1000, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def typed(value):
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, list):
        return {"L": [typed(one) for one in value]}
    if isinstance(value, dict):
        return {"M": {name: typed(one) for name, one in sorted(value.items())}}
    return {"S": value}


def image(row):
    return {name: typed(value) for name, value in sorted(row.items()) if not name.startswith("_")}


def client(number):
    return "client-04" + f"{number:02x}" * 64


def processor(number):
    return f"processor-00000000-0000-4000-8000-{number:012d}"


def file(number):
    return f"file-00000000-0000-4000-8000-{number:012d}"


class Story:
    """A history that is being told."""

    def __init__(self, shards=8):
        self.now, self.rows, self.lines, self.sequence, self.shards = START, {}, [], 0, shards
        self.shard = "shardId-00000001-roundtrip-jobs"
        self.keys = {}
        self.ours = []  # lines about rows that our own programs alone have written

    def at(self, seconds):
        self.now = max(self.now, START + int(seconds * 1000))
        return self

    def emit(self, kind, key, before, after, signature=None, identity=None):
        self.sequence += 1
        body = {"ApproximateCreationDateTime": self.now // 1000, "Keys": image(dict(zip(("client", "file"), key)))}
        if before is not None:
            body["OldImage"] = image(before)
        if after is not None:
            body["NewImage"] = image(after)
        body |= {"SequenceNumber": str(100_000_000_000_000_000_000 + self.sequence), "SizeBytes": 1000,
                 "StreamViewType": "NEW_AND_OLD_IMAGES"}
        line = {"eventID": f"{self.sequence:032x}", "eventName": kind}
        if identity:
            line["userIdentity"] = identity
        line |= {"dynamodb": body, "roundtrip": {"arrived": iso(self.now + 250), "shard": self.shard}}
        if signature:
            line["roundtrip"]["signature"] = signature
        self.lines.append(line)
        if not any(row and row.get("_foreign") for row in (before, after)):
            self.ours.append(line)

    def key(self, number):
        return self.keys[number]

    def write(self, number, remove=(), **changes):
        key = self.key(number)
        before, after = self.rows[key], copy.copy(self.rows[key])
        after.update(changes)
        for name in remove:
            after.pop(name, None)
        self.rows[key] = after
        self.emit("MODIFY", key, before, after)

    def foreign(self, number, **changes):
        """A write of somebody else's program."""
        self.write(number, **changes, _foreign=True)

    def row(self, number):
        return self.rows[self.key(number)]

    def lane(self, number, kind):
        return f"{kind}#{number % self.shards}"

    def place(self, number, wait=0):
        """Where it waits among those to be taken: urgent jobs come before every moment."""
        priority, moment = self.row(number).get("priority"), iso(self.now + int(wait * 1000))
        return f"!{9 - priority}#{moment}" if priority else moment

    def attempt(self, number, by, what, why="", failed=False):
        row = self.row(number)
        entry = {"at": iso(self.now), "by": by, "what": what, "why": why}
        if row.get("processor") == by:
            entry["since"] = row["assigned"]
        if failed:
            entry["failed"] = True
        return (row.get("history", []) + [entry])[-20:]

    def create(self, number, of=1, size=20 * MIB, chunk=8 * MIB, foreign=False, signature="holds", priority=0):
        chunks = max(1, -(-size // chunk))
        row = {"client": client(of), "file": file(number), "status": "QUEUED", "version": "0.1.0",
               "created": iso(self.now), "bucket": "roundtrip", "chunks": chunks, "signature": "30"}
        self.keys[number] = client(of), file(number)
        self.rows[self.keys[number]] = row
        if foreign:
            row["_foreign"] = True
        else:
            outline = {"format": 1, "client": client(of), "file": file(number), "size": size, "chunk_size": chunk,
                       "codec": "zstd"}
            row |= {"priority": priority} if priority else {}
            row |= {"outline": json.dumps(outline, separators=(",", ":")), "outline_signature": "30",
                    "lane": self.lane(number, "ready"), "due": self.place(number)}
        self.emit("INSERT", (client(of), file(number)), None, row, signature)

    def claim(self, number, by=1, lease=300, clock=0):
        self.write(number, status="PROCESSING", processor=processor(by), assigned=iso(self.now + clock * 1000),
                   lane=self.lane(number, "leased"), due=iso(self.now + (clock + lease) * 1000), _lease=lease)

    def heartbeat(self, number, clock=0):
        lease = self.row(number)["_lease"]
        self.write(number, due=iso(self.now + (clock + lease) * 1000))

    def downloaded(self, number, clock=0):
        self.write(number, downloaded=iso(self.now + clock * 1000))

    def complete(self, number, clock=0, large=False):
        row, moment = self.row(number), iso(self.now + clock * 1000)
        results = f"{row['client']}/{row['file']}/results" if large else "04ab:cd:ef:01"
        self.write(number, remove=["error"], status="COMPLETED", results=results, processed=moment,
                   results_type="application/json", lane=self.lane(number, "done"), due=moment,
                   history=self.attempt(number, row["processor"], "complete"))

    def fail(self, number, why, counted=True):
        row = self.row(number)
        self.write(number, status="ERROR", error=why, processed=iso(self.now), lane=self.lane(number, "done"),
                   due=iso(self.now), failures=row.get("failures", 0) + counted,
                   history=self.attempt(number, row["processor"], "fail", why, counted))

    def release(self, number, why, wait=5, counted=True):
        row = self.row(number)
        self.write(number, remove=["processor", "assigned", "downloaded"], status="QUEUED",
                   lane=self.lane(number, "ready"), due=self.place(number, wait),
                   failures=row.get("failures", 0) + counted,
                   history=self.attempt(number, row["processor"], "release", why, counted))

    def requeue(self, number, wait=2, by=None, why=None):
        row = self.row(number)
        held = row.get("processor", "operator")
        why = why or f"{held} sent no heartbeat before its lease ended"
        self.write(number, remove=["processor", "assigned", "downloaded", "error", "processed"], status="QUEUED",
                   lane=self.lane(number, "ready"), due=self.place(number, wait), retries=row.get("retries", 0) + 1,
                   **({"failures": 0} if why == OPERATOR_ASKED else {}), history=self.attempt(number, by or held, "requeue", why))

    def give_up(self, number):
        row = self.row(number)
        why = f"{row.get('retries', 0) + 1} fetchers were lost on this job, the last was {row['processor']}"
        self.write(number, status="ERROR", error=why, processed=iso(self.now), lane=self.lane(number, "done"),
                   due=iso(self.now), history=self.attempt(number, row["processor"], "give-up", why))

    def cancel(self, number):
        why = "cancelled by an operator: sent by mistake"
        self.write(number, remove=["processor"], status="ERROR", error=why, processed=iso(self.now),
                   lane=self.lane(number, "done"), due=iso(self.now),
                   history=self.attempt(number, self.row(number).get("processor", "operator"), "cancel", why))

    def refuse(self, number, by, why):
        self.write(number, status="ERROR", error=why, processed=iso(self.now), lane=self.lane(number, "done"),
                   due=iso(self.now), history=self.attempt(number, by, "refuse", why))

    def admit(self, number):
        self.write(number, lane=self.lane(number, "ready"), due=self.place(number))

    def adopt(self, number, kind, wait=0):
        self.write(number, lane=self.lane(number, kind), due=iso(self.now + wait * 1000))

    def keep(self, number, wait):
        self.write(number, due=iso(self.now + wait * 1000))

    def cleaned(self, number):
        if self.row(number)["status"] == "ERROR":
            # From here on no operator has it taken again.
            self.write(number, cleaning=iso(self.now))
        self.write(number, remove=["lane", "due"], cleaned=iso(self.now), expires=(self.now // 1000) + 30 * 86400)

    def gone(self, number, expired=False):
        key = self.key(number)
        service = {"type": "Service", "principalId": "dynamodb.amazonaws.com"} if expired else None
        self.emit("REMOVE", key, self.rows.pop(key), None, identity=service)

    def fleet(self, by=1):
        key = ("roundtrip#fleet", f"{processor(by)}#analyse")
        before = self.rows.get(key)
        row = {"client": key[0], "file": key[1], "processor": processor(by), "role": "fetcher", "pipeline": "analyse",
               "version": "0.1.0", "host": "lab", "started": before["started"] if before else iso(self.now),
               "seen": iso(self.now), "report_ms": 30000, "held": [], "held_count": 0, "done": 0, "failed": 0,
               "expires": self.now // 1000 + 86400}
        self.rows[key] = row
        self.emit("MODIFY" if before else "INSERT", key, before, row)

    def journey(self, number, start, by=1, work=20, download=3, clean=0.5, of=1, size=20 * MIB):
        """One job as it should be."""
        self.at(start).create(number, of=of, size=size)
        self.at(start + 0.4).claim(number, by)
        self.at(start + 0.4 + download).downloaded(number)
        for beat in range(60, int(download + work), 60):
            self.at(start + 0.4 + beat).heartbeat(number)
        self.at(start + 0.4 + download + work).complete(number)
        self.at(start + 0.4 + download + work + clean).cleaned(number)


def story(tell):
    STORIES[tell.__name__.replace("_", "-")] = tell
    return tell


@story
def one_job(s):
    """One job as it should be: made, claimed, downloaded, completed, cleaned."""
    s.journey(1, 0)


@story
def long_analysis(s):
    """An analysis of eight minutes, kept by heartbeats."""
    s.journey(1, 0, work=480)


@story
def lost_after_the_claim(s):
    """A fetcher is lost right after its claim; another takes the job."""
    s.at(0).create(1)
    s.at(0.4).claim(1, by=1)
    s.at(318).requeue(1)
    s.at(321).claim(1, by=2)
    s.at(324).downloaded(1)
    s.at(340).complete(1)
    s.at(341).cleaned(1)


@story
def lost_while_it_downloads(s):
    """A fetcher is lost in the middle of a download, two heartbeats after its claim."""
    s.at(0).create(1, size=4096 * MIB)
    s.at(0.4).claim(1, by=1)
    s.at(60.4).heartbeat(1)
    s.at(120.4).heartbeat(1)
    s.at(430).requeue(1)
    s.at(433).claim(1, by=2)
    s.at(470).downloaded(1)
    s.at(500).complete(1)
    s.at(501).cleaned(1)


@story
def lost_while_it_analyses(s):
    """A fetcher is lost with two jobs in its hands, one of them analysed for a while."""
    s.at(0).create(1)
    s.at(0.2).create(2)
    s.at(0.4).claim(1, by=1)
    s.at(0.5).claim(2, by=1)
    s.at(3).downloaded(1)
    s.at(4).downloaded(2)
    s.at(60.4).heartbeat(1)
    s.at(60.5).heartbeat(2)
    s.at(372).requeue(1)
    s.at(372.1).requeue(2)
    s.at(376).claim(1, by=2)
    s.at(376.1).claim(2, by=2)
    s.at(380).downloaded(1)
    s.at(380.5).downloaded(2)
    s.at(395).complete(1)
    s.at(396).complete(2)
    s.at(396.5).cleaned(1)
    s.at(396.6).cleaned(2)


@story
def lost_before_its_last_write(s):
    """A fetcher has the result and is lost before it commits it: the work is done twice, the result is written once."""
    s.at(0).create(1)
    s.at(0.4).claim(1, by=1)
    s.at(3).downloaded(1)
    s.at(60.4).heartbeat(1)
    s.at(380).requeue(1)
    s.at(384).claim(1, by=2)
    s.at(387).downloaded(1)
    s.at(445).heartbeat(1)
    s.at(447).complete(1)
    s.at(448).cleaned(1)


@story
def lost_twice(s):
    """Two fetchers are lost on a job, one after the other; the third one brings it to its end."""
    s.at(0).create(1)
    s.at(1).claim(1, by=1)
    s.at(320).requeue(1)
    s.at(324).claim(1, by=2)
    s.at(327).downloaded(1)
    s.at(640).requeue(1)
    s.at(646).claim(1, by=3)
    s.at(649).downloaded(1)
    s.at(660).complete(1)
    s.at(661).cleaned(1)


@story
def poison_job(s):
    """A job that takes every fetcher with it: the watcher gives it up after the fifth."""
    s.at(0).create(1)
    start = 1
    for by in range(1, 5):
        s.at(start).claim(1, by=by)
        s.at(start + 318).requeue(1)
        start += 324
    s.at(start).claim(1, by=5)
    s.at(start + 318).give_up(1)
    s.at(start + 319).cleaned(1)


@story
def fails_three_times(s):
    """An analysis that fails on every attempt: given back twice, then ended."""
    s.at(0).create(1)
    for start, wait in [(1, 5), (10, 10), (25, 0)]:
        s.at(start).claim(1)
        s.at(start + 1).downloaded(1)
        s.at(start + 3)
        if wait:
            s.release(1, "the processor answered 500", wait)
        else:
            s.fail(1, "the processor answered 500 (attempt 3 of 3)")
    s.at(29).cleaned(1)


@story
def succeeds_at_the_second_attempt(s):
    """An analysis that fails once and then succeeds."""
    s.at(0).create(1)
    s.at(1).claim(1)
    s.at(2).downloaded(1)
    s.at(4).release(1, "the processor answered 500", 5)
    s.at(10).claim(1)
    s.at(11).downloaded(1)
    s.at(30).complete(1)
    s.at(31).cleaned(1)


@story
def job_at_fault(s):
    """The processor says at once that the file is no image: no second attempt."""
    s.at(0).create(1)
    s.at(1).claim(1)
    s.at(2).downloaded(1)
    s.at(3).fail(1, "the processor answered 422: no image")
    s.at(4).cleaned(1)


@story
def processor_away(s):
    """The processor is away for a while: jobs are given back and no attempt is counted."""
    s.at(0).create(1)
    s.at(0.1).create(2)
    for n in (1, 2):
        s.at(0.5 + n).claim(n)
        s.at(1.5 + n).downloaded(n)
        s.at(2 + n).release(n, "the processor is not there", 4, counted=False)
    for n in (1, 2):
        s.at(20 + n).claim(n)
        s.at(21 + n).downloaded(n)
        s.at(30 + n).complete(n)
        s.at(31 + n).cleaned(n)


@story
def told_to_stop(s):
    """A fetcher is told to stop and gives its job back; the next one takes it at once."""
    s.at(0).create(1)
    s.at(1).claim(1, by=1)
    s.at(4).downloaded(1)
    s.at(10).release(1, "the fetcher was stopped", 0, counted=False)
    s.at(10.6).claim(1, by=2)
    s.at(14).downloaded(1)
    s.at(40).complete(1)
    s.at(41).cleaned(1)


@story
def upload_that_stops(s):
    """A client is switched off in the middle of an upload: the job is given back without a failure, then completed."""
    s.at(0).create(1, size=2048 * MIB)
    s.at(1).claim(1)
    s.at(61).heartbeat(1)
    s.at(121).heartbeat(1)
    s.at(130).release(1, "its upload stopped: no chunk came for 2m", 120, counted=False)
    s.at(252).claim(1)
    s.at(290).downloaded(1)
    s.at(320).complete(1)
    s.at(321).cleaned(1)


@story
def duplicates(s):
    """The stream is read twice: each record comes again, some later than the next one."""
    s.journey(1, 0)
    s.journey(2, 30)
    twice = [copy.deepcopy(line) for line in s.lines for _ in range(2)]
    again = [copy.deepcopy(line) for line in s.lines[2:7]]
    s.lines = twice + again


@story
def reordered_shards(s):
    """Two shards of the stream arrive one after the other: whole journeys come late, each in its own order."""
    s.journey(1, 0)
    first, s.lines = s.lines, []
    s.shard = "shardId-00000002-roundtrip-jobs"
    s.now = START
    s.journey(2, 1, by=2, of=2)
    s.journey(3, 40, by=2, of=2)
    s.lines += first


@story
def shard_split(s):
    """A shard ends in the middle of two journeys. Its child was read first: what came last of the parent comes late."""
    s.at(0).create(1)
    s.at(0.5).create(2, of=2)
    s.at(1).claim(1)
    begun = len(s.lines)
    s.at(4).downloaded(1)
    s.at(5).claim(2, by=2)
    s.at(8).downloaded(2)
    late, s.lines = s.lines[begun:], s.lines[:begun]
    s.shard = "shardId-00000002-roundtrip-jobs"
    s.at(20).complete(1)
    s.at(21).cleaned(1)
    s.at(30).complete(2)
    s.at(31).cleaned(2)
    s.lines += late


@story
def begins_in_the_middle(s):
    """The recording begins while one job is analysed and another lies in its lane, lost."""
    s.at(0).create(1)
    s.at(0).create(2)
    s.at(1).claim(1)
    s.at(1).claim(2, by=2)
    s.at(4).downloaded(1)
    s.lines.clear()
    s.ours.clear()
    s.at(30).heartbeat(1)
    s.at(50).complete(1)
    s.at(51).cleaned(1)
    s.at(320).requeue(2)
    s.at(324).claim(2)
    s.at(328).downloaded(2)
    s.at(340).complete(2)
    s.at(341).cleaned(2)


@story
def a_gap(s):
    """Records in the middle are missing, as after a trimmed shard."""
    s.journey(1, 0, work=70)
    del s.lines[2:4]


@story
def foreign_client(s):
    """A client that knows the wire format only: its job is let in, claimed and completed."""
    s.at(0).create(1, foreign=True)
    s.at(0.6).admit(1)
    s.at(1).claim(1)
    s.at(4).downloaded(1)
    s.at(20).complete(1)
    s.at(21).cleaned(1)


@story
def foreign_fetcher(s):
    """A fetcher that knows no lanes takes one of our jobs, sends no heartbeats, and completes it after half an hour."""
    s.at(0).create(1)
    s.at(1).foreign(1, status="PROCESSING", processor=processor(9), assigned=iso(s.now))
    s.at(2).adopt(1, "leased", 3599)
    s.at(1800).foreign(1, status="COMPLETED", results="04ab:cd:ef:01", processed=iso(s.now))
    s.at(1801).adopt(1, "done")
    s.at(1802).cleaned(1)


@story
def foreign_fetcher_lost(s):
    """A fetcher that knows no lanes takes one of our jobs and is never heard of again."""
    s.at(0).create(1)
    s.at(1).foreign(1, status="PROCESSING", processor=processor(9), assigned=iso(s.now))
    s.at(2).adopt(1, "leased", 3599)
    s.at(3612).requeue(1)
    s.at(3615).claim(1)
    s.at(3620).downloaded(1)
    s.at(3640).complete(1)
    s.at(3641).cleaned(1)


@story
def forged_record(s):
    """A record that its client never signed: ended before anybody fetches a byte of it."""
    s.at(0).create(1, signature="the record is not what its client signed: the signature does not hold")
    s.at(0.5).refuse(1, processor(1), "the record is not what its client signed: the signature does not hold")
    s.at(1).cleaned(1)


@story
def forged_foreign_record(s):
    """A forged record without a lane: the watcher ends it, and no fetcher sees it."""
    s.at(0).create(1, foreign=True, signature="the record is not what its client signed: the signature does not hold")
    s.at(0.6).refuse(1, processor(100), "the record is not what its client signed: the signature does not hold")
    s.at(1.2).cleaned(1)


@story
def malformed_record(s):
    """A record that is no job, in the lane of jobs to be taken: refused where it stands."""
    s.at(0).create(1)
    s.foreign(1, chunks="many")
    s.at(0.5).write(1, remove=["lane", "due"], status="ERROR", error="`chunks` is missing or no whole number",
                    processed=iso(s.now), cleaned=iso(s.now), expires=s.now // 1000 + 86400)
    s.journey(2, 5)


@story
def expired_records(s):
    """The table deletes records whose time to live has passed, and one that was never taken."""
    s.journey(1, 0)
    s.at(30).create(2)
    s.at(90).gone(1, expired=True)
    s.at(91).gone(2, expired=True)


@story
def deleted_by_hand(s):
    """Somebody deletes the record of a job while it is analysed."""
    s.at(0).create(1)
    s.at(1).claim(1)
    s.at(4).downloaded(1)
    s.at(10).gone(1)
    s.journey(2, 20)


@story
def clock_ahead(s):
    """A fetcher whose clock is ten minutes ahead: its leases last longer than they should."""
    s.at(0).create(1)
    s.at(1).claim(1, by=1, clock=600)
    s.at(4).downloaded(1, clock=600)
    s.at(915).requeue(1)
    s.at(920).claim(1, by=2)
    s.at(924).downloaded(1)
    s.at(940).complete(1)
    s.at(941).cleaned(1)


@story
def clock_behind(s):
    """A fetcher whose clock is four minutes behind: its lease seems to end while it works, and it loses its claim."""
    s.at(0).create(1)
    s.at(1).claim(1, by=1, clock=-240)
    s.at(4).downloaded(1, clock=-240)
    s.at(80).requeue(1)
    s.at(84).claim(1, by=2)
    s.at(88).downloaded(1)
    s.at(110).complete(1)
    s.at(111).cleaned(1)


@story
def cancelled_while_it_waits(s):
    """An operator cancels a job that nobody has taken."""
    s.at(0).create(1)
    s.at(20).cancel(1)
    s.at(21).cleaned(1)


@story
def cancelled_while_it_is_analysed(s):
    """An operator cancels a job in the middle of its analysis: its fetcher's next heartbeat is refused."""
    s.at(0).create(1)
    s.at(1).claim(1)
    s.at(4).downloaded(1)
    s.at(61).heartbeat(1)
    s.at(70).cancel(1)
    s.at(71).cleaned(1)


@story
def requeued_by_an_operator(s):
    """An operator has a job taken again while it hangs; the first fetcher loses its claim."""
    s.at(0).create(1)
    s.at(1).claim(1, by=1)
    s.at(4).downloaded(1)
    s.at(61).heartbeat(1)
    s.at(100).requeue(1, wait=0, why=OPERATOR_ASKED)
    s.at(101).claim(1, by=2)
    s.at(104).downloaded(1)
    s.at(120).complete(1)
    s.at(121).cleaned(1)


@story
def double_claim(s):
    """Two fetchers want the same jobs: one is first, and one that knows no conditions claims over a live claim."""
    s.at(0).create(1)
    s.at(0.2).create(2, of=2)
    # Both of ours try: the claim that comes second is refused, and a stream tells nothing of it.
    s.at(0.4).claim(1, by=1)
    s.at(0.7).claim(2, by=2)
    s.at(3.4).downloaded(1)
    s.at(3.7).downloaded(2)
    s.at(10).foreign(2, processor=processor(9), assigned=iso(s.now))
    s.at(23.4).complete(1)
    s.at(24).cleaned(1)
    # Its first holder loses the claim at its next heartbeat and reports nothing.
    s.at(90).foreign(2, status="COMPLETED", results="04ab:cd:ef:09", processed=iso(s.now))
    s.at(91).adopt(2, "done")
    s.at(92).cleaned(2)


@story
def client_gives_up(s):
    """A file changes while it is sent: its client gives the job up, its fetcher ends it, and the file comes anew."""
    s.at(0).create(1, size=512 * MIB)
    s.at(0.4).claim(1)
    s.at(9.5).fail(1, "the client gave the job up: the file changed while it was read", counted=False)
    s.at(10).cleaned(1)
    s.at(12).create(2, size=520 * MIB)
    s.at(12.4).claim(2)
    s.at(40).downloaded(2)
    s.at(58).complete(2)
    s.at(58.5).cleaned(2)


@story
def priorities(s):
    """An urgent job overtakes those that wait in its shard, and keeps its place where it is given back."""
    for number in (8, 16, 24):
        s.at(number / 100).create(number)
    s.at(0.4).claim(8)
    s.at(3).downloaded(8)
    s.at(10).create(32, of=2, priority=9)
    s.at(11).create(40, of=3, priority=3)
    s.at(20).complete(8)
    s.at(20.5).cleaned(8)
    s.at(21).claim(32)
    s.at(24).downloaded(32)
    s.at(30).release(32, "the processor answered 500", 5)
    s.at(30.5).claim(40)
    s.at(33).downloaded(40)
    s.at(40).complete(40)
    s.at(40.5).cleaned(40)
    s.at(41).claim(32)
    s.at(44).downloaded(32)
    s.at(60).complete(32)
    s.at(60.5).cleaned(32)
    for number, start in [(16, 61), (24, 75)]:
        s.at(start).claim(number)
        s.at(start + 3).downloaded(number)
        s.at(start + 13).complete(number)
        s.at(start + 13.5).cleaned(number)


@story
def lost_while_it_cleans(s):
    """A watcher marks a failed job, deletes its objects and is lost before it says so: the next one goes on with it."""
    s.at(0).create(1)
    s.at(1).claim(1)
    s.at(2).downloaded(1)
    s.at(3).fail(1, "the processor answered 422: no image")
    s.at(4).write(1, cleaning=iso(s.now))
    s.at(65).cleaned(1)


@story
def large_result(s):
    """A result too large for the record: it waits a week in the bucket, then goes."""
    s.at(0).create(1)
    s.at(1).claim(1)
    s.at(4).downloaded(1)
    s.at(20).complete(1, large=True)
    s.at(21).keep(1, 7 * 86400 - 1)
    s.at(7 * 86400 + 30).cleaned(1)


@story
def late_foreign_writer(s):
    """A foreign fetcher that was taken for lost writes its result over the job that another holds by now."""
    s.at(0).create(1)
    s.at(1).foreign(1, status="PROCESSING", processor=processor(9), assigned=iso(s.now))
    s.at(2).adopt(1, "leased", 3599)
    s.at(3620).requeue(1)
    s.at(3624).claim(1, by=2)
    s.at(3628).downloaded(1)
    s.at(3635).foreign(1, status="COMPLETED", results="04ab:cd:ef:02", processed=iso(s.now), processor=processor(9))
    s.at(3640).adopt(1, "done")
    s.at(3641).cleaned(1)


@story
def busy_minutes(s):
    """Forty jobs of four clients come at once to three fetchers that hold two each; one fetcher is lost among them."""
    chance = random.Random(7)
    s.at(0)
    for number in range(1, 41):
        s.at(number * 0.1).create(number, of=number % 4 + 1, size=chance.randrange(1, 200) * MIB)
    free = [(5.0 + 0.2 * slot, slot % 3 + 1) for slot in range(6)]
    events, lost = [], []
    for number in range(1, 41):
        free.sort()
        start, by = free.pop(0)
        if by == 3 and start > 20:
            lost.append((number, start))
            events.append((start, "claim", number, by))
            if len(lost) == 2:
                free = [slot for slot in free if slot[1] != 3]
            continue
        work = chance.uniform(4, 25)
        events += [(start, "claim", number, by), (start + 1, "downloaded", number), (start + work, "complete", number),
                   (start + work + 0.6, "cleaned", number)]
        free.append((start + work + 0.5, by))
    for number, start in lost:
        again = max(start + 315, 330)
        events += [(again, "requeue", number), (again + 5, "claim", number, 1), (again + 7, "downloaded", number),
                   (again + 20, "complete", number), (again + 20.6, "cleaned", number)]
    for when, what, *rest in sorted(events):
        getattr(s.at(when), what)(*rest)


def day(s, jobs=5000, seed=5):
    """A day with 5,000 jobs: forty clients, twelve fetchers, busy hours, failures, and a fetcher lost every other hour."""
    chance = random.Random(seed)
    events, free = [], [(0.0, slot % 12 + 1) for slot in range(24)]
    starts = sorted(chance.triangular(0, 86000, 36000) for _ in range(jobs))
    next_id, dying = 13, 7200.0
    for by in range(1, 13):
        for beat in range(0, 86400, 900):
            events.append((beat + by, 0, "fleet", by))
    for number, start in enumerate(starts, 1):
        of, size = chance.randrange(1, 41), int(chance.lognormvariate(3, 1.2) * MIB) + 1
        events.append((start, number, "create", number, of, size))
        for _ in range(6):
            free.sort()
            idle, by = free.pop(0)
            claimed = max(idle, start + chance.uniform(0.1, 4))
            download, work = 0.5 + size / MIB / 40, chance.lognormvariate(3.2, 0.9)
            events.append((claimed, number, "claim", number, by))
            if claimed > dying:
                # The fetcher is lost, with all it holds; a new one comes in its place.
                dying += 7200
                again = claimed + 300 + chance.uniform(1, 30)
                events.append((again, number, "requeue", number, 2))
                free = [(t, next_id if one == by else one) for t, one in free] + [(claimed + 60, next_id)]
                next_id, start = next_id + 1, again + 2
                continue
            done = claimed + download + work
            events.append((claimed + download, number, "downloaded", number))
            events += [(claimed + beat, number, "heartbeat", number) for beat in range(60, int(download + work), 60)]
            free.append((done + 0.2, by))
            if chance.random() < 0.02:
                wait = chance.uniform(0, 5)
                events.append((done, number, "release", number, "the processor answered 500", wait))
                start = done + wait
                continue
            if chance.random() < 0.005:
                events.append((done, number, "fail", number, "the processor answered 422"))
            else:
                events.append((done, number, "complete", number))
            events.append((done + chance.uniform(0.4, 1.5), number, "cleaned", number))
            break
    for when, _, what, *rest in sorted(events, key=lambda event: (event[0], event[1])):
        s.at(when)
        if what == "create":
            number, of, size = rest
            s.create(number, of=of, size=size)
        elif what == "cleaned" and s.row(rest[0])["status"] not in ("COMPLETED", "ERROR"):
            continue
        else:
            getattr(s, what)(*rest)


def text(s, about):
    header = {"recording": {"format": 1, "about": about, "origin": ORIGIN}}
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in [header, *s.lines])


def forms(s):
    """The same records as Lambda gets them, and as the AWS command line prints them: both have no first line."""
    lines = [line | {"roundtrip": {"signature": "holds"}} for line in s.lines]
    records = [line | {"eventVersion": "1.1", "eventSource": "aws:dynamodb", "awsRegion": "eu-central-1"} for line in lines]
    yield "one-job-as-lambda-gets-it.jsonl", json.dumps({"Records": records}) + "\n"
    for line in lines:
        moment = line["dynamodb"]["ApproximateCreationDateTime"]
        created = {"ApproximateCreationDateTime": iso(moment * 1000)[:19] + "+00:00"}
        line["dynamodb"] = {name: created.get(name, value) for name, value in line["dynamodb"].items()}
    answer = {"Records": lines, "NextShardIterator": "arn:aws:dynamodb:eu-central-1:0:table/roundtrip-jobs"}
    yield "one-job-as-the-aws-cli-prints-it.jsonl", json.dumps(answer, indent=4) + "\n"


def write(name, text):
    path = HERE / name
    if not name.endswith(".zst"):
        path.write_text(text)
        return
    # Tens of megabytes of text: kept compressed.
    zstd = shutil.which("zstd") or sys.exit(f"{name} needs the program zstd")
    plain = path.with_suffix("")
    plain.write_text(text)
    subprocess.run([zstd, "-q", "-f", "-19", "--long=27", "--rm", plain, "-o", path], check=True)


def told(names):
    """Each history that is asked for, with the names of its files."""
    for name, tell in (STORIES | {"day-of-5000-jobs": day}).items():
        if not names or name in names:
            s = Story()
            tell(s)
            yield name, s, tell.__doc__


def main(arguments):
    names = [name for name in arguments if name != "--check"]
    unknown = set(names) - set(STORIES) - {"day-of-5000-jobs"}
    if unknown:
        sys.exit(f"no such history: {', '.join(sorted(unknown))}")
    form, files = Form.of_real(HERE), {}
    for name, s, about in told(names):
        form.hold(name, s.ours)
        files[name + (".jsonl.zst" if name == "day-of-5000-jobs" else ".jsonl")] = text(s, about)
        if name == "one-job":
            files |= forms(s)
    for fault in form.faults:
        print(fault, file=sys.stderr)
    if form.faults:
        sys.exit(f"{len(form.faults)} times it is not the form of the real recordings")
    for name, content in files.items():
        if "--check" not in arguments:
            write(name, content)
    print(f"{len(files)} files are in the form of the {form.count} real ones")


if __name__ == "__main__":
    main(sys.argv[1:])
