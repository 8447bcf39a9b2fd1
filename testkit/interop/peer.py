"""A second implementation of the wire format: what a client and a fetcher that never heard of Roundtrip do.

It knows the eight attributes of a new job, the chunks `<client>/<file>/<n>` and the sealed result. It knows
no manifest, no lanes and no other attribute, and it shares no code with the engine.
"""

import hashlib
import json
import os
import time
import uuid
from datetime import UTC, datetime

import boto3
import zstandard
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

OWNER = "roundtrip/table"
SIGNED = ("status", "version", "created", "bucket", "file", "chunks", "client")
CURVE = ec.SECP256R1()
IV_BYTES = 12
TAG_BYTES = 16
POLL_SECONDS = 0.1


class Refused(Exception):
    """A record or a sealed result that does not hold."""


class Service:
    """Bucket and table behind the standard endpoint variables of an environment."""

    def __init__(self, environment):
        session = boto3.session.Session(
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=environment.get("AWS_SESSION_TOKEN"),
            region_name=environment["AWS_REGION"],
        )
        config = Config(retries={"max_attempts": 3, "mode": "standard"}, s3={"addressing_style": "path"})
        self.bucket = environment["ROUNDTRIP_BUCKET"]
        self.s3 = session.client("s3", endpoint_url=environment["AWS_ENDPOINT_URL_S3"], config=config)
        dynamodb = session.resource(
            "dynamodb", endpoint_url=environment["AWS_ENDPOINT_URL_DYNAMODB"], config=config
        )
        self.table = dynamodb.Table(environment["ROUNDTRIP_TABLE"])

    def job(self, client, file):
        """The job's record as it stands now; None where there is none."""
        return self.table.get_item(Key={"client": client, "file": file}, ConsistentRead=True).get("Item")

    def jobs(self):
        """Every job of the table: other records, whose `client` names no client, are somebody else's."""
        pages = {}
        items = []
        while True:
            page = self.table.scan(ConsistentRead=True, **pages)
            items += (item for item in page["Items"] if item["client"].startswith("client-"))
            if "LastEvaluatedKey" not in page:
                return items
            pages = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def keys(self, prefix=""):
        """Every object key under a prefix but that of the object which names the bucket's table."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        keys = (entry["Key"] for page in pages for entry in page.get("Contents", []))
        return [key for key in keys if key != OWNER]

    def put(self, key, body):
        """Writes one object."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def read(self, key):
        """One object's bytes; None where there is none."""
        try:
            return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None


def now():
    """This moment as JavaScript's Date.toISOString writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stringify(value):
    """JSON as JavaScript's JSON.stringify writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def new_key():
    """A client's key."""
    return ec.generate_private_key(CURVE)


def key_of(digits):
    """The key with this private number, in hex."""
    return ec.derive_private_key(int(digits, 16), CURVE)


def pem_of(key):
    """PKCS#8 PEM, as the engine keeps its keys."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def point_of(public):
    """An uncompressed point in hex."""
    return public.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    ).hex()


def public_of(client):
    """The public key inside a client id."""
    try:
        digits = client.removeprefix("client-")
        return ec.EllipticCurvePublicKey.from_encoded_point(CURVE, bytes.fromhex(digits))
    except ValueError as error:
        raise Refused(f"not a client id: {client[:40]}") from error


def client_of(key):
    """The client id of a key."""
    return f"client-{point_of(key.public_key())}"


def signed_text(job):
    """The text under a job's signature: the status is that of creation."""
    return stringify(
        {name: job[name] for name in SIGNED} | {"status": "QUEUED", "chunks": int(job["chunks"])}
    )


def sign(key, job):
    """The signature of a new job."""
    return key.sign(signed_text(job).encode(), ec.ECDSA(hashes.SHA256())).hex()


def verify(job):
    """Raises Refused unless the job's own client signed it."""
    try:
        signature = bytes.fromhex(job["signature"])
        public_of(job["client"]).verify(signature, signed_text(job).encode(), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError, KeyError) as error:
        raise Refused("the signature is not the client's") from error


def seal(client, plain):
    """A result only this client can open."""
    ephemeral = new_key()
    iv = os.urandom(IV_BYTES)
    secret = ephemeral.exchange(ec.ECDH(), public_of(client))
    cipher = AESGCM(hashlib.sha256(secret).digest()).encrypt(iv, plain, None)
    text, tag = cipher[:-TAG_BYTES], cipher[-TAG_BYTES:]
    return ":".join((point_of(ephemeral.public_key()), iv.hex(), tag.hex(), text.hex()))


def unseal(key, sealed):
    """The plain text of a sealed result."""
    try:
        point, iv, tag, text = sealed.split(":")
        ephemeral = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, bytes.fromhex(point))
        secret = key.exchange(ec.ECDH(), ephemeral)
        cipher = AESGCM(hashlib.sha256(secret).digest())
        return cipher.decrypt(bytes.fromhex(iv), bytes.fromhex(text + tag), None)
    except (ValueError, InvalidTag) as error:
        raise Refused("the result does not open") from error


def pieces_of(content, size):
    """A file in pieces; an empty file is one empty piece."""
    return [content[start : start + size] for start in range(0, len(content), size)] or [b""]


class Client:
    """A client that knows the wire format only."""

    def __init__(self, service, key=None, version="2.5.21"):
        self.service = service
        self.key = key or new_key()
        self.id = client_of(self.key)
        self.version = version

    def record(self, chunks, **other):
        """A new job's record; `other` replaces properties before it is signed."""
        job = {
            "status": "QUEUED",
            "version": self.version,
            "created": now(),
            "bucket": self.service.bucket,
            "file": f"file-{uuid.uuid4()}",
            "chunks": chunks,
            "client": self.id,
        } | other
        return job | {"signature": sign(self.key, job)}

    def create(self, job):
        """Puts a new job into the table."""
        self.service.table.put_item(Item=job, ConditionExpression="attribute_not_exists(client)")

    def send(self, content, chunk_size=1 << 20, sized=True):
        """Creates a job for a file, then uploads it; `sized` frames say how long their content is."""
        pieces = pieces_of(content, chunk_size)
        job = self.record(len(pieces))
        self.create(job)
        codec = zstandard.ZstdCompressor(write_content_size=sized)
        for index, piece in enumerate(pieces):
            self.service.put(f"{self.id}/{job['file']}/{index}", codec.compress(piece))
        return job["file"]

    def open(self, job):
        """The plain result of a finished job."""
        return unseal(self.key, job["results"])


class Fetcher:
    """A fetcher that knows the wire format only, with an analysis that tells size and SHA-256."""

    def __init__(self, service):
        self.service = service
        self.id = f"processor-{uuid.uuid4()}"

    def queued(self):
        """Jobs that say they wait and hold what they say."""
        for job in self.service.jobs():
            if job["status"] != "QUEUED" or "processor" in job:
                continue
            try:
                verify(job)
            except Refused:
                continue
            yield job

    def update(self, job, condition, **values):
        """Writes attributes of a job; False where the condition does not hold."""
        try:
            self.service.table.update_item(
                Key={"client": job["client"], "file": job["file"]},
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
                ConditionExpression=condition,
                ExpressionAttributeNames={f"#{name}": name for name in values},
                ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def claim(self, job):
        """Takes the job; False where another was first."""
        return self.update(
            job, "attribute_not_exists(processor)", status="PROCESSING", processor=self.id, assigned=now()
        )

    def download(self, job, deadline):
        """The file, chunk by chunk as each appears."""
        content = b""
        for index in range(int(job["chunks"])):
            key = f"{job['client']}/{job['file']}/{index}"
            while (body := self.service.read(key)) is None:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"chunk {index} of {job['file']} did not appear")
                time.sleep(POLL_SECONDS)
            content += zstandard.ZstdDecompressor().decompressobj().decompress(body)
        return content

    def analyse(self, job, deadline):
        """Downloads a claimed job's file and writes its sealed result."""
        content = self.download(job, deadline)
        self.update(job, "attribute_exists(processor)", downloaded=now())
        plain = stringify({"size": len(content), "sha256": hashlib.sha256(content).hexdigest()})
        return self.update(
            job,
            "attribute_exists(processor)",
            status="COMPLETED",
            results=seal(job["client"], plain.encode()),
            error="",
            processed=now(),
        )

    def serve(self, count, deadline):
        """Claims and analyses until `count` jobs are done; gives their file ids."""
        done = []
        while len(done) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(done)} of {count} jobs came and were analysed")
            for job in self.queued():
                if self.claim(job):
                    self.analyse(job, deadline)
                    done.append(job["file"])
            time.sleep(POLL_SECONDS)
        return done
