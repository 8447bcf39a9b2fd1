"""Judges a run from outside: files, results, table, stream, bucket and disks, with no code of the engine."""

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import peer
from cryptography.hazmat.primitives import serialization
from files import File, Results

SPOOL_LOCK = ".lock"


@dataclass
class Verdict:
    """What was found."""

    faults: list[str] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)

    def fault(self, text: str) -> None:
        """Notes a broken promise."""
        self.faults.append(text)


def key_in(state: Path):
    """The private key of a client's state folder."""
    return serialization.load_pem_private_key((state / "client.pem").read_bytes(), password=None)


def spooled(state: Path) -> list[Path]:
    """Files of jobs on a fetcher's disk."""
    return [path for path in (state / "spool").rglob("*") if path.is_file() and path.name != SPOOL_LOCK]


def landed_late(keys: list[str], jobs: list[dict]) -> list[str]:
    """Keys of jobs that are cleaned: a put whose answer was lost is repeated, and the first can land long after."""
    cleaned = {f"{job['client']}/{job['file']}" for job in jobs if "lane" not in job}
    return [key for key in keys if key.rsplit("/", 1)[0] in cleaned]


def calm(
    service: peer.Service, files: int, results: list[Results], states: list[Path], late: set[str]
) -> str:
    """What still keeps the run from being over; empty where nothing does. Notes keys that landed late."""
    there = sum(result.look() for result in results)
    if there < files:
        return f"{there} of {files} results"
    jobs = service.jobs()
    if open_jobs := [job for job in jobs if "lane" in job]:
        return f"{len(open_jobs)} jobs in a lane ({Counter(str(job['lane']).split('#')[0] for job in open_jobs)})"
    if left := service.keys():
        late.update(landed_late(left, jobs))
        return f"{len(left)} objects in the bucket, {len(landed_late(left, jobs))} of cleaned jobs"
    if here := [path for state in states for path in spooled(state)]:
        return f"{len(here)} files in spools"
    return ""


def stream_records(environment: dict[str, str], table: str):
    """Every record of the table's stream, in order."""
    streams = boto3.client(
        "dynamodbstreams",
        endpoint_url=environment["AWS_ENDPOINT_URL_DYNAMODB_STREAMS"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    arn = streams.list_streams(TableName=table)["Streams"][0]["StreamArn"]
    deadline = time.monotonic() + 120
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while iterator and time.monotonic() < deadline:
            page = streams.get_records(ShardIterator=iterator, Limit=1000)
            yield from page["Records"]
            if not page["Records"]:
                break
            iterator = page.get("NextShardIterator")


def judge_stream(verdict: Verdict, records, files: int) -> None:
    """Each job was completed once, all of them, and nothing changed a result after it was committed."""
    completed: Counter[tuple[str, str]] = Counter()
    for record in records:
        verdict.told["stream records read by the judge"] += 1
        old = record["dynamodb"].get("OldImage", {})
        new = record["dynamodb"].get("NewImage", {})
        image = new or old
        client, file = image.get("client", {}).get("S", ""), image.get("file", {}).get("S", "")
        if not client.startswith("client-"):
            continue
        before, after = (side.get("status", {}).get("S") for side in (old, new))
        if after == "COMPLETED" and before != "COMPLETED":
            completed[client, file] += 1
        if before == "COMPLETED" and (after != before or old.get("results") != new.get("results")):
            verdict.fault(f"{file}: changed after it was completed: {after}, {record['eventName']}")
    verdict.told["commits of a result in the stream"] = completed.total()
    if len(completed) != files:
        verdict.fault(f"the stream tells of {len(completed)} completed jobs, not of {files}")
    for (_, file), times in completed.items():
        if times != 1:
            verdict.fault(f"{file}: COMPLETED {times} times in the stream")


def judge_table(verdict: Verdict, jobs: list[dict], files: list[File], keys: list) -> None:
    """One completed job for each file, whose sealed result opens with its client's key and tells of that file."""
    by_client = {peer.client_of(key): (number, key) for number, key in enumerate(keys)}
    wanted = {(file.client, file.sha256): file.name for file in files}
    found: Counter[tuple[int, str]] = Counter()
    for job in jobs:
        history = [attempt["what"] for attempt in job.get("history", [])]
        verdict.told.update(f"attempts: {what}" for what in history)
        verdict.told["failed attempts counted against a job"] += int(job.get("failures", 0))
        verdict.told["lost workers counted"] += int(job.get("retries", 0))
        if job["status"] != "COMPLETED":
            error = job.get("error", "")
            verdict.fault(f"{job['file']}: {job['status']} {error} (history {history})")
            continue
        if history.count("complete") != 1:
            verdict.fault(f"{job['file']}: its history says {history}")
        if "lane" in job:
            verdict.fault(f"{job['file']}: still in lane {job['lane']}")
        number, key = by_client[job["client"]]
        peer.verify(job)
        found[number, json.loads(peer.unseal(key, job["results"]))["sha256"]] += 1
    for what, name in wanted.items():
        if found[what] != 1:
            verdict.fault(f"{name}: {found[what]} completed jobs hold its result")
    for number, digest in found.keys() - wanted.keys():
        verdict.fault(f"a result of client {number + 1} is of no file it sent: {digest}")


def judge(
    service: peer.Service,
    environment: dict[str, str],
    files: list[File],
    results: list[Results],
    clients: list[Path],
    fetchers: list[Path],
) -> Verdict:
    """Everything that was promised."""
    verdict = Verdict()
    for number, result in enumerate(results):
        result.look()
        own = [file for file in files if file.client == number]
        verdict.faults += result.wrong(own)
        verdict.faults += [f"{name}: its result was written more than once" for name in result.rewritten()]
    jobs = service.jobs()
    judge_table(verdict, jobs, files, [key_in(state) for state in clients])
    judge_stream(verdict, stream_records(environment, service.table.name), len(files))
    verdict.faults += [f"{key}: left in the bucket" for key in service.keys()]
    verdict.faults += [f"{path}: left on a fetcher's disk" for state in fetchers for path in spooled(state)]
    return verdict
