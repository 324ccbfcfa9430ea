"""Times in answers are read as botocore reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import botocore.utils
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.store.base import StoreOptions
from fastput.store.session import make_client, parse_time


@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1)),
    st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
    st.sampled_from(["%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%SZ", "%Y%m%dT%H%M%SZ", "%Y-%m-%dT%H:%M:%S%z",
                     "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d", "%a, %d %b %Y %H:%M:%S GMT", "%s"]),
)  # fmt: skip
def test_times(moment: datetime, zone: timezone, form: str) -> None:
    text = moment.replace(tzinfo=zone).strftime(form)
    assert parse_time(text) == botocore.utils.parse_timestamp(text)


@pytest.mark.parametrize("text", ["", "yesterday", "2030-13-01T00:00:00Z"])
def test_no_times(text: str) -> None:
    with pytest.raises(ValueError, match="timestamp"):
        botocore.utils.parse_timestamp(text)
    with pytest.raises(ValueError, match="timestamp"):
        parse_time(text)


def test_it_is_used() -> None:
    session, _ = make_client(StoreOptions("http://127.0.0.1:1", "us-east-1"))
    parser = session.get_component("response_parser_factory").create_parser("rest-xml")
    assert parser._timestamp_parser is parse_time
