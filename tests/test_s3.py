"""Files in a bucket of a real S3 server on this machine: there and back, and what a user sees where
it fails."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from conftest import make_photo
from PIL import Image

import vaecodec
from vaecodec.__main__ import main

boto3 = pytest.importorskip("boto3", reason="the extra test is not installed")
s3fs = pytest.importorskip("s3fs", reason="the extra s3 is not installed")
moto_server = pytest.importorskip("moto.server", reason="the extra test is not installed")

SECRET = "hidden/secret+key"  # of whoever runs the command
CHECK_KEYS = (
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, and what they allow"
)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Its address, on a free port."""
    running = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket `photos` with two pictures and a broken one; all else is told by the variables that
    every user of S3 sets."""
    settings = {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    s3fs.S3FileSystem.clear_instance_cache()
    client = boto3.client("s3")
    client.create_bucket(Bucket="photos")
    for number, name in enumerate(("a.png", "deep/b.png")):
        client.put_object(Bucket="photos", Key=name, Body=picture(number))
    client.put_object(Bucket="photos", Key="deep/broken.png", Body=b"\x89PNG\r\n\x1a\n broken")
    yield client
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", float("inf"))
    client.delete_bucket_policy(Bucket="photos")
    for name in names_in(client):
        client.delete_object(Bucket="photos", Key=name)
    client.delete_bucket(Bucket="photos")


@pytest.fixture
def call(tiny_model_path: Path) -> Callable[..., Result]:
    def command(*arguments: object) -> Result:
        words = [*map(str, arguments), "--model", str(tiny_model_path)]
        result = CliRunner().invoke(main, words)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert not [part for part in (SECRET, "AKIAEXAMPLE") if part in result.output]
        return result

    return command


def picture(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(make_photo(40, 50, seed)).save(buffer, "PNG")
    return buffer.getvalue()


def names_in(client: Any) -> set[str]:
    return {found["Key"] for found in client.list_objects_v2(Bucket="photos").get("Contents", [])}


def deny(client: Any, action: str) -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": action}
    statement["Resource"] = "arn:aws:s3:::photos/*"
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    client.put_bucket_policy(Bucket="photos", Policy=json.dumps(policy))


def line_of(result: Result) -> str:
    """The one line that a command said."""
    assert result.output.count("\n") == 1, result.output
    return result.output.rstrip("\n")


def test_one_picture_there_and_back(call, bucket, tmp_path: Path):
    result = call("encode", "s3://photos/a.png")
    assert result.exit_code == 0 and line_of(result).startswith("s3://photos/a.vae: ")
    (tmp_path / "a.png").write_bytes(picture(0))
    assert call("encode", tmp_path / "a.png").exit_code == 0
    stored = bucket.get_object(Bucket="photos", Key="a.vae")["Body"].read()
    assert stored == (tmp_path / "a.vae").read_bytes()
    assert line_of(call("verify", "s3://photos/a.vae")) == "s3://photos/a.vae: ok"
    assert call("decode", "s3://photos/a.vae", "-o", "s3://photos/back/a.jpg").exit_code == 0
    back = bucket.get_object(Bucket="photos", Key="back/a.jpg")["Body"].read()
    assert Image.open(io.BytesIO(back)).size == (50, 40)
    result = call("encode", "s3://photos/a.png")
    assert result.exit_code == 2
    assert line_of(result) == "vaecodec: s3://photos/a.vae: exists; use -f to overwrite it"


def test_a_tree_there_and_back_and_nothing_twice(call, bucket):
    words = ["encode", "s3://photos", "-r", "-o", "s3://photos/small"]
    result = call(*words)
    told = "vaecodec: s3://photos/deep/broken.png: not a picture that can be read here\n"
    assert result.exit_code == 1 and result.stderr == told
    assert result.stdout.startswith("2 done, 1 failed, ")
    assert "not taken" not in result.stdout
    made = {"small/a.vae", "small/deep/b.vae"}
    assert {name for name in names_in(bucket) if name.startswith("small/")} == made
    tags = {name: bucket.head_object(Bucket="photos", Key=name)["LastModified"] for name in made}
    result = call(*words, "--skip-existing")
    assert result.exit_code == 1 and result.stdout == "0 done, 1 failed, 2 skipped\n"
    for name, when in tags.items():
        assert bucket.head_object(Bucket="photos", Key=name)["LastModified"] == when
    result = call("verify", "s3://photos/small", "-r")
    assert result.exit_code == 0 and result.stderr.startswith("2 done, 0 failed")
    result = call("decode", "s3://photos/small", "-r", "-o", "s3://photos/back")
    assert result.exit_code == 0 and result.stdout.startswith("2 done, 0 failed")
    assert {"back/a.png", "back/deep/b.png"} < names_in(bucket)
    result = call("encode", "s3://photos/*.png", "-o", "s3://photos/small", "--skip-existing")
    assert result.exit_code == 0 and result.stdout == "0 done, 0 failed, 1 skipped\n"


def test_an_object_that_appears_meanwhile_is_not_overwritten(bucket, tiny_model_path: Path):
    """The store itself refuses it, by the condition that is sent with the object."""
    from vaecodec.batch.encoding import EncodeTask
    from vaecodec.batch.jobs import FileJob, attempt
    from vaecodec.inference.loading import ModelReference
    from vaecodec.network.weight_files import receive_weights
    from vaecodec.places import place

    model_id = receive_weights(tiny_model_path.read_bytes())
    bucket.put_object(Bucket="photos", Key="a.vae", Body=b"mine")
    job = FileJob(place("s3://photos/a.png"), place("s3://photos/a.vae"), is_there=False)
    outcome = attempt(EncodeTask(ModelReference(model_id), effort=0), job)
    assert str(outcome.fault) == "s3://photos/a.vae: exists"
    assert bucket.get_object(Bucket="photos", Key="a.vae")["Body"].read() == b"mine"


NO_BUCKET = "there is no bucket none; create it, or check its name and AWS_ENDPOINT_URL"


@pytest.mark.parametrize(
    ("words", "exit_code", "told"),
    [
        ("encode s3://photos/none.png", 2, "s3://photos/none.png: no such file"),
        ("verify s3://photos/none.vae", 2, "s3://photos/none.vae: no such file"),
        ("encode s3://none/a.png", 1, f"s3://none/a.png: cannot read: {NO_BUCKET}"),
        ("encode s3://none -r", 1, f"s3://none: cannot read: {NO_BUCKET}"),
        ("decode s3://none/a.vae -o HERE/a.png", 1, f"s3://none/a.vae: cannot read: {NO_BUCKET}"),
        (
            "encode s3://photos/a.png -o s3://none/a.vae",
            1,
            f"s3://none/a.vae: cannot write: {NO_BUCKET}",
        ),
        (
            "encode s3://photos -o s3://none/small",
            1,
            f"s3://none/small: cannot be listed: {NO_BUCKET}",
        ),
        (
            "encode s3://photos/deep/broken.png",
            1,
            "s3://photos/deep/broken.png: not a picture that can be read here",
        ),
        (
            f"encode s3://AKIAEXAMPLE:{SECRET.replace('/', '')}@photos/a.png",
            2,
            "s3://...@photos/a.png: keys do not go into the address; set AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        ),
    ],
)
def test_a_fault_is_one_line(call, bucket, tmp_path: Path, words: str, exit_code: int, told: str):
    before = names_in(bucket)
    result = call(*words.replace("HERE", str(tmp_path)).split())
    assert (result.exit_code, line_of(result)) == (exit_code, f"vaecodec: {told}")
    assert names_in(bucket) == before and not list(tmp_path.iterdir())


def test_no_permission_to_write(call, bucket):
    deny(bucket, "s3:PutObject")
    before = names_in(bucket)
    told = f"vaecodec: s3://photos/a.vae: cannot write: no permission; {CHECK_KEYS}"
    for more in ([], ["-f"]):
        result = call("encode", "s3://photos/a.png", *more)
        assert (result.exit_code, line_of(result)) == (1, told)
    result = call("encode", "s3://photos", "-o", "s3://photos", "--json")
    assert result.exit_code == 1 and result.stderr.startswith("0 done, 1 failed")
    assert names_in(bucket) == before


def test_no_permission_to_read(call, bucket, tmp_path: Path):
    deny(bucket, "s3:GetObject")
    result = call("encode", "s3://photos/a.png", "-o", tmp_path / "a.vae")
    told = f"vaecodec: s3://photos/a.png: cannot read: no permission; {CHECK_KEYS}"
    assert (result.exit_code, line_of(result)) == (1, told)
    result = call("encode", "s3://photos", "-r", "-o", tmp_path)
    assert result.exit_code == 1 and result.stdout.startswith("0 done, 3 failed")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_user_who_may_do_nothing(call, bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The store checks keys and what they allow, where a policy of the bucket says nothing."""
    users = boto3.client("iam")
    users.create_user(UserName="nobody")
    key = users.create_access_key(UserName="nobody")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)
    out = tmp_path / "out"
    for words in (
        ["s3://photos/a.png", "-o", tmp_path / "a.vae"],
        ["s3://photos", "-r", "-o", out],
    ):
        result = call("encode", *words)
        told = f"vaecodec: {words[0]}: cannot read: no permission; {CHECK_KEYS}\n"
        assert result.exit_code == 1 and result.stderr.startswith(told)
        assert key["SecretAccessKey"] not in result.output
    result = call("encode", "s3://photos/*.png", "-o", out)
    told = f"vaecodec: s3://photos/*.png: cannot be listed: no permission; {CHECK_KEYS}"
    assert (result.exit_code, line_of(result)) == (1, told)
    assert not list(tmp_path.rglob("*.vae"))


def test_no_keys(call, bucket, monkeypatch: pytest.MonkeyPatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    s3fs.S3FileSystem.clear_instance_cache()
    result = call("encode", "s3://photos/a.png")
    told = "vaecodec: s3://photos/a.png: cannot read: no credentials; set AWS_ACCESS_KEY_ID and"
    assert result.exit_code == 1 and line_of(result).startswith(told)


def test_python_takes_a_bucket(bucket, tiny_model_path: Path, tmp_path: Path):
    record = tmp_path / "run.jsonl"
    summary = vaecodec.encode_many(
        "s3://photos", "s3://photos/o", recursive=True, manifest=record, model=tiny_model_path
    )
    assert (summary.done, summary.failed) == (2, 1)
    assert set(summary.faults) == {"s3://photos/deep/broken.png"}
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    sizes = {line["target"]: line["bytes"] for line in lines if line["fault"] is None}
    for target, size_bytes in sizes.items():
        key = target.removeprefix("s3://photos/")
        assert bucket.head_object(Bucket="photos", Key=key)["ContentLength"] == size_bytes
    again = vaecodec.encode_many(
        "s3://photos", "s3://photos/o", recursive=True, manifest=record, model=tiny_model_path
    )
    assert (again.done, again.failed, again.skipped) == (0, 1, 2)
