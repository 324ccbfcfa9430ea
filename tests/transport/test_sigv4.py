"""Signatures beside botocore's, and AWS's own example."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from unittest import mock

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from fastput.transport.sigv4 import UNSIGNED, UNSIGNED_TRAILER, Signer


@dataclass(frozen=True)
class Keys:
    access_key: str = "AKIAIOSFODNN7EXAMPLE"
    secret_key: str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    token: str | None = None


def test_the_example_of_aws() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "PUT Object"."""
    headers = [
        ("date", "Fri, 24 May 2013 00:00:00 GMT"),
        ("host", "examplebucket.s3.amazonaws.com"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ]
    body_hash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
    now_s = datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC).timestamp()
    signed = dict(Signer("us-east-1").sign("PUT", "/test%24file.text", headers, body_hash, Keys(), now_s))
    assert signed["authorization"].endswith(
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )


values = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=10)


@given(
    st.from_regex(r"(/[A-Za-z0-9._~-]{1,4}|/%[0-9A-F]{2}){1,4}", fullmatch=True),
    st.dictionaries(
        st.sampled_from(["partNumber", "uploadId", "x-id"]), st.from_regex(r"[A-Za-z0-9]{0,5}", fullmatch=True)
    ),
    st.dictionaries(st.from_regex(r"x-amz-meta-[a-z]{1,5}|content-type", fullmatch=True), values, max_size=4),
    st.sampled_from([UNSIGNED, UNSIGNED_TRAILER]),
    st.sampled_from([None, "token/+="]),
    st.integers(0, 2**32),
)
def test_beside_botocore(
    path: str, query: dict[str, str], more: dict[str, str], body_hash: str, token: str | None, now_s: int
) -> None:
    keys = Keys(token=token)
    target = path + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")
    headers = [("host", "store.example:9000"), ("content-length", "5"), *more.items()]
    signer = Signer("eu-west-9")
    mine = dict(signer.sign("PUT", target, headers, body_hash, keys, now_s))
    request = AWSRequest("PUT", f"http://store.example:9000{target}", headers=dict(headers[1:]))
    request.context["payload_signing_enabled"] = False
    now = datetime.datetime.fromtimestamp(now_s, datetime.UTC)
    auth = S3SigV4Auth(BotocoreCredentials(keys.access_key, keys.secret_key, token), "s3", "eu-west-9")
    with (
        mock.patch("botocore.auth.get_current_datetime", return_value=now, create=True),
        mock.patch.object(auth, "payload", return_value=body_hash),
        mock.patch.object(auth, "_should_sha256_sign_payload", return_value=False),
    ):
        auth.add_auth(request)
    assert mine["authorization"] == request.headers["Authorization"]
    # The key of the day is kept, and is another one tomorrow.
    assert dict(signer.sign("PUT", target, headers, body_hash, keys, now_s)) == mine
    assert dict(signer.sign("PUT", target, headers, body_hash, keys, now_s + 86_400)) != mine


def test_nobodys_key_is_taken_for_anothers() -> None:
    signer = Signer("r")
    one = signer.sign("PUT", "/", [("host", "h")], UNSIGNED, Keys(), 0)
    two = signer.sign("PUT", "/", [("host", "h")], UNSIGNED, Keys(secret_key="other"), 0)
    assert one != two
    assert signer.sign("PUT", "/", [("host", "h")], UNSIGNED, Keys(), 0) == one


def test_white_space_in_values() -> None:
    """Runs of blanks count as one."""
    one = Signer("r").sign("PUT", "/", [("host", "h"), ("x-amz-meta-a", "b   c ")], UNSIGNED, Keys(), 0)
    two = Signer("r").sign("PUT", "/", [("host", "h"), ("x-amz-meta-a", "b c")], UNSIGNED, Keys(), 0)
    assert one[-1] == two[-1]


@pytest.mark.parametrize("query", ["b=2&a=1", "a=1&b=2"])
def test_the_order_of_a_query_does_not_matter(query: str) -> None:
    signed = Signer("r").sign("PUT", f"/k?{query}", [("host", "h")], UNSIGNED, Keys(), 0)
    assert signed[-1] == Signer("r").sign("PUT", "/k?a=1&b=2", [("host", "h")], UNSIGNED, Keys(), 0)[-1]
