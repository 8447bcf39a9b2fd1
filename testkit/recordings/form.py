"""The form of the real recordings, and whether other records have it: names, and how their values are spelled."""

import functools
import json
import re
from collections import defaultdict

MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
SPELLINGS = {name: re.compile(pattern) for name, pattern in {
    "a moment": MOMENT,
    "a place among the urgent": f"![0-8]#{MOMENT}",
    "a lane": r"(ready|leased|done)#\d+",
    "a status": r"QUEUED|PROCESSING|COMPLETED|ERROR",
    "a client": r"client-04[0-9a-f]{128}",
    "a file": f"file-{UUID}",
    "a processor": f"processor-{UUID}",
    "a pipeline of a processor": rf"processor-{UUID}#[a-z-]+",
    "a row of ours": r"roundtrip#[a-z]+",
    "a shard": r"shardId-[0-9]{8}-[a-z-]+",
    "the object of a result": rf"client-04[0-9a-f]{{128}}/file-{UUID}/results",
    # Signatures and sealed results are cut short: no decision reads them.
    "a sealed result": r"[0-9a-f]+:[0-9a-f]+:[0-9a-f]+:[0-9a-f]+",
    "an operator": "operator",
    "hex digits": r"[0-9a-f]+",
    "a version": r"\d+(\.\d+)+",
    "a media type": r"[a-z]+/[a-z0-9.+-]+(; charset=utf-8)?",
    "nothing": "",
}.items()}

# What the embedded stack never does, in the words of AWS.
OF_AWS = {"userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}}
OF_AWS_KINDS = {"REMOVE"}


@functools.cache
def spelling(text):
    if text.startswith("{"):
        return f"JSON of {', '.join(json.loads(text))}"
    return next((name for name, pattern in SPELLINGS.items() if pattern.fullmatch(text)), "words")


def spellings(value, path):
    """Every value below this one: where it is, and its type with how it is spelled."""
    (kind, inner), = value.items()
    if kind == "L":
        for one in inner:
            yield from spellings(one, path + "[]")
    elif kind == "M":
        for name, one in inner.items():
            yield from spellings(one, f"{path}.{name}")
    yield path, f"{kind}, {spelling(inner)}" if kind == "S" else kind


def texts(line):
    """What stands around the images of a record, each value with how it is spelled."""
    yield "eventName", line["eventName"]
    yield "fields", ", ".join(name for name in line if name not in OF_AWS)
    yield "dynamodb", ", ".join(line["dynamodb"])
    for name in ("eventID", "StreamViewType", "SequenceNumber"):
        text = line.get(name) or line["dynamodb"][name]
        yield name, f"{len(text)} characters, {spelling(text)}"
    for name, text in line["roundtrip"].items():
        yield f"roundtrip.{name}", "holds or not" if name == "signature" else spelling(text)


def stands(image):
    """What kind of record this is: a row of ours by its name, a job by where it stands."""
    text = {name: next(iter(image.get(name, {"S": ""}).values())) for name in ("client", "status", "lane")}
    if text["client"].startswith("roundtrip#"):
        return text["client"], text["client"]
    place = f"{text['status']} in {text['lane'].split('#')[0] or 'no lane'}"
    return "a job", place + (", to be cleaned" if "cleaning" in image and text["lane"] else "")


def images(line):
    """The record as it is since. As it was before, it was told by an earlier line."""
    return [line["dynamodb"]["NewImage"]] if "NewImage" in line["dynamodb"] else []


class Form:
    """What real records have: by kind of record the names and spellings, by where it stands what each of them has."""

    def __init__(self):
        self.count, self.known, self.always, self.around, self.faults = 0, defaultdict(set), {}, set(), []

    @classmethod
    def of_real(cls, folder):
        form = cls()
        for recording in sorted(folder.glob("real-*.jsonl")):
            form.count += 1
            for line in map(json.loads, recording.read_text().splitlines()[1:]):
                form.learn(line)
        return form

    def learn(self, line):
        self.around.update(texts(line))
        for image in images(line):
            kind, place = stands(image)
            for name, value in image.items():
                self.known[kind].update(spellings(value, name))
            self.always[place] = self.always.get(place, set(image)) & set(image)

    def hold(self, story, lines):
        """Names what these records have that no real one has, and what each real one has that they have not."""
        found = set()
        for line in lines:
            if line["eventName"] not in OF_AWS_KINDS:
                found |= {f"{name}: {text}" for name, text in texts(line) if (name, text) not in self.around}
            for name, fixed in OF_AWS.items():
                if line.get(name, fixed) != fixed:
                    found.add(f"{name} is not as AWS writes it")
            for image in images(line):
                kind, place = stands(image)
                if place not in self.always:
                    found.add(f"no real record is {place}")
                    continue
                found |= {f"{place} without {name}" for name in self.always[place] - set(image)}
                for name, value in image.items():
                    unknown = set(spellings(value, name)) - self.known[kind]
                    found |= {f"{place}: {path} is {text}" for path, text in unknown}
        self.faults += [f"{story}: {fault}" for fault in sorted(found)]
