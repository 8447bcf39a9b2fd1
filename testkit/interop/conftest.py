"""Fixtures: a place for processes, an endpoint behind it, and each failure with what its processes wrote."""

import threading

import peer
import processor as processors
import pytest
import station as stations


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    station = item.funcargs.get("station")
    if report.failed and station is not None:
        report.sections.extend(station.logs())
    return report


@pytest.fixture(scope="session")
def binary():
    """The program under test."""
    if not stations.BINARY.exists():
        pytest.fail(f"{stations.BINARY} is not there: run `cargo build`, or set ROUNDTRIP_BIN", pytrace=False)
    return stations.BINARY


@pytest.fixture
def station(tmp_path):
    """Processes that end with the test."""
    station = stations.Station(tmp_path)
    yield station
    station.end()


@pytest.fixture(params=stations.ENDPOINTS)
def service(request, binary, station):
    """S3 and DynamoDB with bucket and table, once for each kind of endpoint."""
    station.environment |= stations.ENDPOINTS[request.param](station)
    setup = station.run("setup", binary, "setup")
    assert setup.code == 0, "setup failed"
    return peer.Service(station.environment)


@pytest.fixture
def moto_only(station):
    """moto with the least a job needs: a bucket, and a table with its two keys."""
    station.environment |= stations.moto(station)
    service = peer.Service(station.environment)
    service.s3.create_bucket(Bucket=service.bucket)
    service.table.meta.client.create_table(
        TableName=service.table.name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "client", "KeyType": "HASH"},
            {"AttributeName": "file", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "client", "AttributeType": "S"},
            {"AttributeName": "file", "AttributeType": "S"},
        ],
    )
    return service


@pytest.fixture
def lab():
    """An analysis container over HTTP."""
    server = processors.Processor()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.gate.set()
    server.shutdown()
    server.server_close()
