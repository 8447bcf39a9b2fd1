"""The queue's length in CloudWatch, and who is told of a threshold: on moto, which has both services.

The AWS SDK sends PutMetricData as CBOR (smithy-protocol: rpc-v2-cbor), which moto does not read yet. A front before
it decodes each request and makes it again with boto3, which holds it to the service's own model on the way.
"""

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import boto3
import cbor2
import pytest
import station as stations

NAMES = {
    "JobsReady",
    "JobsLeased",
    "JobsDone",
    "OldestReadySeconds",
    "OldestLeasedSeconds",
    "BacklogPerFetcher",
}

ROLE = """
name = "watcher"
[pipelines.queue-length]
source.lanes.every = "300ms"
"""


@contextmanager
def serving(answer):
    """A local service: `answer` takes a request with its body, and gives headers and a body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            headers, body = answer(self, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def moto(binary, station):
    """moto with bucket and table, for us and for the program."""
    station.environment |= stations.moto(station)
    station.environment["AWS_ENDPOINT_URL_SNS"] = station.environment["AWS_ENDPOINT_URL_DYNAMODB"]
    assert station.run("setup", binary, "setup").code == 0

    station.rounds = 0

    def front(request, body):
        assert request.path == "/service/GraniteServiceVersion20100801/operation/PutMetricData"
        assert request.headers["smithy-protocol"] == "rpc-v2-cbor"
        client(station, "cloudwatch").put_metric_data(**cbor2.loads(body))
        station.rounds += 1
        return {"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}, cbor2.dumps({})

    with serving(front) as url:
        station.environment["AWS_ENDPOINT_URL_CLOUDWATCH"] = url
        yield station
        station.end()


@pytest.fixture
def webhook():
    """A local service that keeps what it is told."""
    told = []

    def keep(_, body):
        told.append(json.loads(body))
        return {}, b""

    with serving(keep) as url:
        yield SimpleNamespace(url=url, told=told)


def client(station, service):
    environment = station.environment
    return boto3.client(
        service,
        endpoint_url=environment["AWS_ENDPOINT_URL_DYNAMODB"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


def watcher(station, name, text=""):
    role = station.folder / f"{name}.toml"
    role.write_text(ROLE + text, encoding="utf-8")
    return station.start(name, stations.BINARY, "run", role, "--state", station.folder / f"state-{name}")


def put(station, file, lane):
    due = datetime.now(UTC) - timedelta(seconds=60)
    row = {
        "client": "somebody",
        "file": file,
        "status": "QUEUED",
        "lane": lane,
        "due": due.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }
    item = {name: {"S": value} for name, value in row.items()}
    client(station, "dynamodb").put_item(TableName="roundtrip-jobs", Item=item)


def delete(station, file):
    key = {"client": {"S": "somebody"}, "file": {"S": file}}
    client(station, "dynamodb").delete_item(TableName="roundtrip-jobs", Key=key)


def highest(station, metric):
    """The highest number of a metric in the last minutes; None where there is none."""
    now = datetime.now(UTC)
    points = client(station, "cloudwatch").get_metric_statistics(
        Namespace="Roundtrip",
        MetricName=metric,
        Dimensions=[{"Name": "Table", "Value": "roundtrip-jobs"}],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=10),
        Period=3600,
        Statistics=["Maximum"],
    )["Datapoints"]
    return max((point["Maximum"] for point in points), default=None)


def test_metrics_are_there_with_zeros_and_one_set_of_dimensions_each(moto):
    process = watcher(moto, "watcher")
    cloudwatch = client(moto, "cloudwatch")
    moto.wait("every metric", lambda: len(cloudwatch.list_metrics(Namespace="Roundtrip")["Metrics"]) >= len(NAMES), of=[process])
    assert {name: highest(moto, name) for name in NAMES} == dict.fromkeys(NAMES, 0)
    for number in range(3):
        put(moto, f"file-{number}", f"ready#{number}")
    put(moto, "file-done", "done#0")
    # A round may fall between two puts.
    moto.wait("three ready jobs", lambda: highest(moto, "JobsReady") == 3, of=[process])
    moto.wait("a done job", lambda: highest(moto, "JobsDone") == 1, of=[process])
    assert highest(moto, "BacklogPerFetcher") == 3
    assert 60 <= highest(moto, "OldestReadySeconds") < 60 + stations.WAIT_SECONDS
    metrics = cloudwatch.list_metrics(Namespace="Roundtrip")["Metrics"]
    assert sorted(metric["MetricName"] for metric in metrics) == sorted(NAMES)
    dimensions = [{"Name": "Table", "Value": "roundtrip-jobs"}]
    assert all(metric["Dimensions"] == dimensions for metric in metrics)
    assert process.end() == 0


def test_a_threshold_is_told_once_up_and_once_down_by_two_watchers(moto, webhook):
    text = f"""
    notify.ready-high = {{ metric = "JobsReady", above = 2, below = 2,
                           webhook = "{webhook.url}" }}
    """
    text = " ".join(text.split())
    both = [watcher(moto, name, text) for name in ("first", "second")]
    for number in range(3):
        put(moto, f"file-{number}", "ready#0")
    moto.wait("somebody is told", lambda: webhook.told, of=both)
    rounds(moto, both)
    delete(moto, "file-0")
    rounds(moto, both)
    assert [message["state"] for message in webhook.told] == ["up"], "two jobs are not below two"
    delete(moto, "file-1")
    moto.wait("somebody is told again", lambda: len(webhook.told) > 1, of=both)
    rounds(moto, both)
    assert [message["state"] for message in webhook.told] == ["up", "down"]
    assert webhook.told[0] | {"since": ""} == {
        "threshold": "ready-high",
        "metric": "JobsReady",
        "state": "up",
        "value": 3,
        "limit": 2,
        "since": "",
        "table": "roundtrip-jobs",
    }
    # What was told is known to the next start.
    assert [process.end() for process in both] == [0, 0]
    third = watcher(moto, "third", text)
    rounds(moto, [third])
    assert len(webhook.told) == 2


def rounds(station, processes):
    """Waits until the watchers published so often that each counted what is there now."""
    enough = station.rounds + 3 * len(processes)
    station.wait("a few rounds", lambda: station.rounds >= enough, of=processes)


def test_a_topic_is_told(moto):
    sns, sqs = client(moto, "sns"), client(moto, "sqs")
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    queue = sqs.create_queue(QueueName="alerts")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    put(moto, "file-0", "ready#0")
    process = watcher(moto, "watcher", f'notify.any = {{ metric = "JobsReady", above = 0.5, sns = "{topic}" }}\n')

    def receive():
        return sqs.receive_message(QueueUrl=queue).get("Messages")

    message = json.loads(moto.wait("the topic is told", receive, of=[process])[0]["Body"])
    assert message["Subject"] == "Roundtrip: any is up"
    assert json.loads(message["Message"])["value"] == 1
