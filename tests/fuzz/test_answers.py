"""Error documents of stores: what the data plane reads, and what becomes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.answers import StoreAnswer, is_retryable, is_throttling, parse_answer, to_error
from fastput.errors import FastputError
from fastput.model import ObjectUri
from tests.fuzz.support import TEXTS, document, ends, fuzz, kept

URI = ObjectUri("bucket", "some/key")
ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code><Message>Reduce</Message>'
    "<RequestId>R</RequestId><Region>eu-west-1</Region></Error>"
)
MAX_LINE_CHARS = 3_000

statuses = st.sampled_from([200, 301, 307, 400, 403, 404, 409, 412, 429, 500, 501, 503]) | st.integers(100, 999)
headers = st.dictionaries(
    st.sampled_from(["x-amz-request-id", "x-amz-bucket-region", "content-type"]), st.sampled_from(TEXTS)
)


def check(status: int, fields: dict[str, str], body: bytes) -> None:
    with ends():
        answer = parse_answer(status, fields, body)
        is_retryable(answer), is_throttling(answer)
        error = to_error(answer, URI, "send part 3", part=3)
    texts = (answer.code, answer.message, answer.request_id or "", answer.region or "")
    assert all(isinstance(text, str) for text in texts)
    assert answer.status == error.status == status
    assert isinstance(error, FastputError)
    shown = str(error)
    assert len(shown) < MAX_LINE_CHARS
    assert "\n" not in shown
    assert "\x1b" not in shown
    assert "\x9b" not in shown


@fuzz(600)
@given(statuses, headers, document(ERROR))
def test_documents(status: int, fields: dict[str, str], body: bytes) -> None:
    check(status, fields, body)


@kept("error")
def test_kept(data: bytes) -> None:
    for status in (200, 301, 400, 403, 503):
        check(status, {}, data)


def deep(levels: int) -> bytes:
    return b"<Error>" + b"<a>" * levels + b"</a>" * levels + b"</Error>"


LAUGHS = "".join(f"<!ENTITY a{n + 1} '{f'&a{n};' * 10}'>" for n in range(20))


@pytest.mark.parametrize(
    "body",
    [
        deep(1_000),
        deep(30_000),
        deep(1_000_000),
        f"<!DOCTYPE x [<!ENTITY a0 'ha'>{LAUGHS}]><Error><Code>&a20;</Code></Error>".encode(),
        f"<!DOCTYPE x [<!ENTITY a '{'ha' * 50_000}'>]><Error><Code>{'&a;' * 30_000}</Code></Error>".encode(),
        b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><Error><Code>&a;</Code></Error>",
        b"<!DOCTYPE x SYSTEM 'http://127.0.0.1:1/x.dtd'><Error><Code>A</Code></Error>",
        b"<Error><Code>" + b"A" * 10_000_000 + b"</Code></Error>",
        b"<Error>" + b"<Code/>" * 1_500_000 + b"</Error>",
        b"<Error>" + b"<!-- -->" * 1_500_000,
        b"<" * 10_000_000,
        b" " * 10_000_000 + b"<Error/>",
        b"\0" * 10_000_000,
        ERROR.encode("utf-16"),
        ERROR.encode("utf-32"),
        ERROR.replace("UTF-8", "EBCDIC-US").encode("cp037"),
    ],
    ids=lambda body: f"{body[:12]!r}x{len(body)}",
)
def test_documents_that_are_meant_to_hurt(body: bytes) -> None:
    check(400, {}, body)


def test_nothing_of_this_machine_gets_into_an_answer() -> None:
    body = b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><Error><Code>A</Code><Message>&a;</Message></Error>"
    assert "root" not in parse_answer(400, {}, body).message


def test_what_may_be_copied_into_a_shell() -> None:
    told = str(to_error(StoreAnswer(301, region="eu-west-1; rm -rf ~"), URI, "send it"))
    assert "rm -rf" not in told
    assert "--region" not in told
    assert "--region eu-west-1" in str(to_error(StoreAnswer(301, region="eu-west-1"), URI, "send it"))
