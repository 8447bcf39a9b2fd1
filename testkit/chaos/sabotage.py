"""Breaks each promise once after a run, to see that the judge notices: `--sabotage`."""

import peer
from files import File, Results


def write(service: peer.Service, job: dict, **values: str) -> None:
    """Writes attributes of a job, whatever it says."""
    service.table.update_item(
        Key={"client": job["client"], "file": job["file"]},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
        ExpressionAttributeNames={f"#{name}": name for name in values},
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
    )


def sabotage(service: peer.Service, files: list[File], results: list[Results], fetcher) -> list[str]:
    """Does the damage; gives what the judge has to say, each the beginning or the end of one of its sentences."""
    own = [file for file in files if file.client == 0]
    swapped, gone, source = own[0], own[1], own[2]
    folder = results[0].folder
    (folder / f"{swapped.name}.json").write_text((folder / f"{source.name}.json").read_text())
    (folder / f"{gone.name}.json").unlink()
    (folder / "unasked.json").write_text("{}")

    jobs = sorted(service.jobs(), key=lambda job: (job["client"], job["file"]))
    same = [job for job in jobs if job["client"] == jobs[0]["client"]]
    twice, replaced, other, failed, seen = same[:5]
    write(service, twice, status="PROCESSING")
    write(service, twice, status="COMPLETED")
    write(service, replaced, results=other["results"])
    write(service, failed, status="ERROR", error="sabotage")
    write(service, seen, lane="done#0", due=peer.now())
    stray = f"{same[0]['client']}/{same[0]['file']}/0"
    service.put(stray, b"stray")
    spooled = fetcher / "spool" / "left"
    spooled.write_bytes(b"left")
    return [
        f"{swapped.name}: its result is another's",
        f"{swapped.name}.json: its result was written more than once",
        f"{gone.name}: no result",
        "unasked.json: a result nobody expects",
        f"{twice['file']}: COMPLETED 2 times in the stream",
        f"{replaced['file']}: changed after it was completed",
        "completed jobs hold its result",
        f"{failed['file']}: ERROR sabotage",
        f"{seen['file']}: still in lane",
        f"{stray}: left in the bucket",
        f"{spooled}: left on a fetcher's disk",
    ]
