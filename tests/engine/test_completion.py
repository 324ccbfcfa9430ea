"""CompleteMultipartUpload against stores that answer it badly: never twice without need, never for a foreign object."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from fastput.answers import StoreAnswer, to_error
from fastput.engine.completion import Finisher, check_listed, is_ours, multipart_etag, object_checksum
from fastput.engine.multipart import Completion
from fastput.errors import EndpointError, FastputError, IntegrityError, ObjectExists, StoreError, UploadGone
from fastput.limits import MIB
from fastput.model import Checksum, ConfirmedPart, ListedPart, ObjectInfo, ObjectUri
from fastput.native.crc import crc64nvme
from fastput.profile import AMAZON, UNPROTECTED, Protection
from fastput.store import Completed
from fastput.store.memory import MemoryStore
from tests.engine.harness import AT_ONCE, SECONDS, URI, begun_by_others
from tests.support.content import content, crc32c_base64, crc64nvme_base64

DATA = content(3 * MIB + 7, seed=3)
PIECES = [DATA[:MIB], DATA[MIB : 2 * MIB], DATA[2 * MIB : 3 * MIB], DATA[3 * MIB :]]
FOREIGN = content(3 * MIB + 7, seed=4)  # of the same size
AGAIN = 50  # more often than anything is tried

Step = Callable[["ScriptedStore", Callable[[], Completed]], Completed]


class ScriptedStore(MemoryStore):
    """Complete goes by a script, one step a call, and behaves when it is used up. What is asked is written down."""

    def __init__(self, *script: Step) -> None:
        super().__init__()
        self.script = list(script)
        self.log: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.list_failures: list[FastputError] = []
        self.head_failures: list[FastputError] = []
        self.keeps_checksums = True
        self.is_gone_unsaid = False  # it forgets uploads, and ListParts doesn't tell

    def complete(
        self,
        uri: ObjectUri,
        upload_id: str,
        parts: Sequence[ConfirmedPart],
        size_bytes: int | None,
        checksum: Checksum,
        checksum_value: str | None,
        no_clobber: bool,
    ) -> Completed:
        self.log.append("complete")
        self.asked.append({"size_bytes": size_bytes, "value": checksum_value, "no_clobber": no_clobber})

        def honestly() -> Completed:
            done = super(ScriptedStore, self).complete(
                uri, upload_id, parts, size_bytes, checksum, checksum_value, no_clobber
            )
            return done if self.keeps_checksums else replace(done, checksums={})

        step = self.script.pop(0) if self.script else None
        return step(self, honestly) if step is not None else honestly()

    def list_parts(self, uri: ObjectUri, upload_id: str) -> Iterator[ListedPart]:
        self.log.append("list")
        if self.list_failures:
            raise self.list_failures.pop(0)
        yield from super().list_parts(uri, upload_id)

    def head(self, uri: ObjectUri, version_id: str | None = None) -> ObjectInfo | None:
        self.log.append("head")
        if self.head_failures:
            raise self.head_failures.pop(0)
        info = super().head(uri, version_id)
        if info is None or self.keeps_checksums:
            return info
        return replace(info, checksums={}, is_full_object=False)


def error(status: int, code: str = "") -> FastputError:
    return to_error(StoreAnswer(status, code), URI, "complete the multipart upload")


def timeout() -> EndpointError:
    return EndpointError("no answer", is_temporary=True)


def says(raised: Callable[[], FastputError]) -> Step:
    """Refuses without having done anything."""

    def step(store: ScriptedStore, honestly: Callable[[], Completed]) -> Completed:
        raise raised()

    return step


def does_and_says(raised: Callable[[], FastputError]) -> Step:
    """Makes the object, and says something else."""

    def step(store: ScriptedStore, honestly: Callable[[], Completed]) -> Completed:
        honestly()
        raise raised()

    return step


def somebody_else(data: bytes | None, raised: Callable[[], FastputError]) -> Step:
    """The upload is gone because somebody aborted it; data: and put an object there."""

    def step(store: ScriptedStore, honestly: Callable[[], Completed]) -> Completed:
        store.uploads.clear()
        if data is not None:
            put(store, data)
        raise raised()

    return step


def put(store: MemoryStore, data: bytes) -> None:
    status, _, _ = store.receive("/bucket/key", {}, data)
    assert status == 200


def md5_etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def as_sent(checksum: Checksum) -> tuple[ConfirmedPart, ...]:
    values: dict[Checksum, Callable[[bytes], str | None]] = {
        Checksum.CRC64NVME: crc64nvme_base64,
        Checksum.CRC32C: crc32c_base64,
        Checksum.MD5: lambda data: base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode(),
        Checksum.NONE: lambda data: None,
    }
    parts, offset_bytes = [], 0
    for number, piece in enumerate(PIECES, start=1):
        value = values[checksum](piece)
        parts.append(ConfirmedPart(number, offset_bytes, len(piece), md5_etag(piece), crc64nvme(piece), value))
        offset_bytes += len(piece)
    return tuple(parts)


def sent(store: MemoryStore, checksum: Checksum = Checksum.CRC64NVME) -> Completion:
    """All parts are on the store."""
    upload_id = begun_by_others(store, dict(enumerate(PIECES, start=1)))
    return Completion(upload_id, as_sent(checksum), len(DATA), crc64nvme(DATA))


def finisher(store: MemoryStore, protection: Protection = AMAZON.strongest, no_clobber: bool = False) -> Finisher:
    return Finisher(store, URI, protection, AMAZON, no_clobber, AT_ONCE, threading.Event())


def checked(checksum: Checksum) -> Protection:
    return AMAZON.protection(checksum)


# ---- the plain way


@pytest.mark.parametrize("checksum", [Checksum.CRC64NVME, Checksum.CRC32C, Checksum.MD5])
def test_everything_is_said_to_a_store_that_takes_it(checksum: Checksum) -> None:
    store = ScriptedStore()
    done = finisher(store, checked(checksum), no_clobber=True).complete(sent(store, checksum))
    values = {Checksum.CRC64NVME: crc64nvme_base64(DATA), Checksum.CRC32C: crc32c_base64(DATA)}
    assert store.asked == [{"size_bytes": len(DATA), "value": values.get(checksum), "no_clobber": True}]
    assert store.log == ["complete"], "the answer says that the checksum is kept: no need to look"
    assert done.checksums == {"crc64nvme": crc64nvme_base64(DATA)}
    assert store.objects == {str(URI): DATA}
    assert done.etag.strip('"') == multipart_etag(as_sent(checksum))


def test_what_the_profile_says_that_it_does_not_take_is_not_said() -> None:
    store = ScriptedStore()
    profile = replace(AMAZON, takes_object_size=False, takes_if_none_match=False)
    replace(finisher(store, no_clobber=True), profile=profile).complete(sent(store))
    assert store.asked[0]["size_bytes"] is None
    assert store.asked[0]["no_clobber"] is False


def test_the_object_is_looked_at_where_the_answer_says_nothing() -> None:
    store = ScriptedStore()
    store.keeps_checksums = False
    done = finisher(store).complete(sent(store))
    assert store.log == ["complete", "head"]
    assert done.checksums == {}


# ---- bad answers

TEMPORARY: dict[str, Callable[[], FastputError]] = {
    "500": lambda: error(500, "InternalError"),
    "503": lambda: error(503, "SlowDown"),
    "a time-out": timeout,
    "200 with an error": lambda: error(200, "InternalError"),
}


@pytest.mark.parametrize("how", TEMPORARY)
@pytest.mark.parametrize("keeps_checksums", [True, False])
@pytest.mark.parametrize("no_clobber", [True, False])
def test_the_object_was_made_and_it_says_something_else(how: str, keeps_checksums: bool, no_clobber: bool) -> None:
    """ListParts says that the upload is gone: Complete isn't repeated, and the object is found to be ours."""
    store = ScriptedStore(does_and_says(TEMPORARY[how]))
    store.keeps_checksums = keeps_checksums
    done = finisher(store, no_clobber=no_clobber).complete(sent(store))
    assert store.log.count("complete") == 1
    assert store.objects == {str(URI): DATA}
    assert done.etag.strip('"') == multipart_etag(as_sent(Checksum.CRC64NVME))
    assert done.checksums == ({"crc64nvme": crc64nvme_base64(DATA)} if keeps_checksums else {})


@pytest.mark.parametrize("how", TEMPORARY)
@pytest.mark.parametrize("times", [1, 3])
def test_nothing_was_made_and_it_is_said_again(how: str, times: int) -> None:
    store = ScriptedStore(*[says(TEMPORARY[how])] * times)
    finisher(store).complete(sent(store))
    assert store.log[:-1] == ["complete", "list"] * times, "it is asked before each repetition"
    assert store.objects == {str(URI): DATA}


@pytest.mark.parametrize("how", TEMPORARY)
def test_it_never_works(how: str) -> None:
    """The parts stay: a later run can complete it."""
    store = ScriptedStore(*[says(TEMPORARY[how])] * AGAIN)
    completion = sent(store)
    with pytest.raises(FastputError) as caught:
        finisher(store).complete(completion)
    assert caught.value.is_temporary
    assert store.log.count("complete") < AGAIN
    assert store.objects == {}
    assert completion.upload_id in store.uploads


@pytest.mark.parametrize("how", TEMPORARY)
@pytest.mark.parametrize("there", ["nothing", "foreign", "foreign of another size"])
def test_the_upload_is_gone_and_the_object_is_not_ours(how: str, there: str) -> None:
    data = {"nothing": None, "foreign": FOREIGN, "foreign of another size": b"theirs"}[there]
    for keeps_checksums in (True, False):
        store = ScriptedStore(somebody_else(data, TEMPORARY[how]))
        store.keeps_checksums = keeps_checksums
        with pytest.raises(FastputError):
            finisher(store).complete(sent(store))
        assert store.log.count("complete") == 1
        assert store.objects == ({} if data is None else {str(URI): data})


def gone() -> FastputError:
    return error(404, "NoSuchUpload")


@pytest.mark.parametrize("lists", [True, False])
def test_no_such_upload_because_it_was_completed_already(lists: bool) -> None:
    """Was a bug where ListParts failed too: an object that is there was reported as lost, and its journal removed."""
    store = ScriptedStore(does_and_says(gone))
    store.list_failures = [] if lists else [error(403, "AccessDenied")] * AGAIN
    done = finisher(store).complete(sent(store))
    assert store.log.count("complete") == 1
    assert done.etag.strip('"') == multipart_etag(as_sent(Checksum.CRC64NVME))


@pytest.mark.parametrize("data", [None, FOREIGN, b"theirs"])
def test_no_such_upload_and_nothing_of_ours(data: bytes | None) -> None:
    store = ScriptedStore(somebody_else(data, gone))
    with pytest.raises(UploadGone):
        finisher(store).complete(sent(store))
    assert store.log.count("complete") == 1


def test_a_time_out_that_made_the_object_where_nothing_can_be_listed() -> None:
    """It has to be said again then, and NoSuchUpload is the answer to the first time."""
    store = ScriptedStore(does_and_says(timeout))
    store.list_failures = [error(403, "AccessDenied")] * AGAIN
    finisher(store).complete(sent(store))
    assert store.log.count("complete") == 2
    assert store.objects == {str(URI): DATA}


@pytest.mark.parametrize("times", [1, 3])
def test_a_listing_that_fails_is_asked_again_before_complete_is(times: int) -> None:
    """Was a bug: one 503 to ListParts counted as "still there", and Complete was said to an upload that was gone."""
    store = ScriptedStore(does_and_says(timeout))
    store.list_failures = [error(503, "SlowDown") for _ in range(times)]
    finisher(store).complete(sent(store))
    assert store.log.count("complete") == 1


# ---- conditions


def exists() -> FastputError:
    return error(412, "PreconditionFailed")


def test_an_object_of_others_is_left_alone() -> None:
    store = ScriptedStore()
    put(store, FOREIGN)
    completion = sent(store)
    with pytest.raises(ObjectExists):
        finisher(store, no_clobber=True).complete(completion)
    assert store.log.count("complete") == 1
    assert store.objects == {str(URI): FOREIGN}
    assert completion.upload_id in store.uploads, "whoever asked for it aborts it"


@pytest.mark.parametrize("status", [409, 412])
def test_a_condition_that_met_our_own_object(status: int) -> None:
    """The first Complete made it and its answer was lost; the runtime or a proxy said it again."""
    store = ScriptedStore(does_and_says(lambda: error(status, "PreconditionFailed")))
    finisher(store, no_clobber=True).complete(sent(store))
    assert store.log.count("complete") == 1
    assert store.objects == {str(URI): DATA}


def test_a_time_out_and_then_a_condition_that_met_our_own_object() -> None:
    """ListParts can't tell after the time-out; the repetition meets what the first has made."""
    store = ScriptedStore(does_and_says(timeout), says(exists))
    store.list_failures = [error(403, "AccessDenied")]
    finisher(store, no_clobber=True).complete(sent(store))
    assert store.objects == {str(URI): DATA}


def test_a_condition_that_met_a_foreign_object_after_the_upload_was_gone() -> None:
    store = ScriptedStore(somebody_else(FOREIGN, exists))
    with pytest.raises(ObjectExists):
        finisher(store, no_clobber=True).complete(sent(store))
    assert store.objects == {str(URI): FOREIGN}


@pytest.mark.parametrize("code", ["NotImplemented", ""])
def test_conditions_that_it_does_not_know_are_left_out(code: str) -> None:
    store = ScriptedStore(says(lambda: error(501, code)))
    finisher(store, no_clobber=True).complete(sent(store))
    assert [asked["no_clobber"] for asked in store.asked] == [True, False]
    assert [asked["size_bytes"] for asked in store.asked] == [len(DATA), None]
    assert [asked["value"] for asked in store.asked] == [crc64nvme_base64(DATA)] * 2, "the checksum is none of them"


def test_a_501_without_conditions_is_an_error() -> None:
    store = ScriptedStore(*[says(lambda: error(501, "NotImplemented"))] * AGAIN)
    with pytest.raises(StoreError):
        finisher(store).complete(sent(store))
    assert store.log.count("complete") == 2


@pytest.mark.parametrize("code", ["InvalidPart", "InvalidPartOrder", "EntityTooSmall", "AccessDenied", "MalformedXML"])
def test_a_refusal_for_good_is_not_repeated(code: str) -> None:
    store = ScriptedStore(*[says(lambda: error(403 if code == "AccessDenied" else 400, code))] * AGAIN)
    with pytest.raises(FastputError):
        finisher(store).complete(sent(store))
    assert store.log == ["complete"]


# ---- looking at what was made


def test_an_answer_without_an_etag() -> None:
    """Ceph's. What HEAD says stands in the receipt."""

    def step(store: ScriptedStore, honestly: Callable[[], Completed]) -> Completed:
        return replace(honestly(), etag="", checksums={})

    store = ScriptedStore(step)
    done = finisher(store).complete(sent(store))
    assert done.etag.strip('"') == multipart_etag(as_sent(Checksum.CRC64NVME))
    assert done.checksums == {"crc64nvme": crc64nvme_base64(DATA)}


def without_checksums(store: ScriptedStore, honestly: Callable[[], Completed]) -> Completed:
    return replace(honestly(), checksums={})


class Shrinking(ScriptedStore):
    """Makes an object that isn't what its parts were."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(without_checksums)
        self.changes = changes

    def head(self, uri: ObjectUri, version_id: str | None = None) -> ObjectInfo | None:
        info = super().head(uri, version_id)
        return None if info is None else replace(info, **self.changes)


def test_an_object_of_the_wrong_size() -> None:
    store = Shrinking(size_bytes=len(DATA) - 1)
    with pytest.raises(IntegrityError) as caught:
        finisher(store).complete(sent(store))
    assert (caught.value.bucket, caught.value.key) == ("bucket", "key")


def test_an_object_whose_kept_checksum_is_another() -> None:
    """Was a bug: it was a success, of which the receipt only said that no checksum is kept."""
    store = Shrinking(checksums={"crc64nvme": crc64nvme_base64(FOREIGN)})
    with pytest.raises(IntegrityError):
        finisher(store).complete(sent(store))


def test_a_checksum_of_checksums_is_no_other_one() -> None:
    store = Shrinking(checksums={"crc64nvme": crc64nvme_base64(FOREIGN)}, is_full_object=False)
    assert finisher(store).complete(sent(store)).checksums == {}


def test_an_object_that_somebody_replaced_at_once_is_none_of_our_business() -> None:
    def step(store: ScriptedStore, honestly: Callable[[], Completed]) -> Completed:
        done = replace(honestly(), checksums={})
        put(store, b"theirs")
        return done

    store = ScriptedStore(step)
    done = finisher(store).complete(sent(store))
    assert done.etag.strip('"') == multipart_etag(as_sent(Checksum.CRC64NVME)), "what we made"
    assert done.checksums == {}


def test_an_object_that_was_taken_away_at_once() -> None:
    def step(store: ScriptedStore, honestly: Callable[[], Completed]) -> Completed:
        done = replace(honestly(), checksums={})
        store.objects.clear()
        return done

    store = ScriptedStore(step)
    assert finisher(store).complete(sent(store)).checksums == {}


def test_one_look_that_fails_is_repeated() -> None:
    store = ScriptedStore(without_checksums)
    store.head_failures = [error(503, "SlowDown"), timeout()]
    done = finisher(store).complete(sent(store))
    assert done.checksums == {"crc64nvme": crc64nvme_base64(DATA)}


@pytest.mark.parametrize("failure", [lambda: error(403), lambda: error(500, "InternalError"), timeout])
def test_who_may_only_write_has_written(failure: Callable[[], FastputError]) -> None:
    """Was a bug: the object was made and confirmed, and its upload failed because HEAD isn't allowed (s3:PutObject
    alone): for ever, because each later run found the upload gone."""
    store = ScriptedStore(without_checksums)
    store.head_failures = [failure() for _ in range(AGAIN)]
    done = finisher(store).complete(sent(store))
    assert done.etag.strip('"') == multipart_etag(as_sent(Checksum.CRC64NVME))
    assert done.checksums == {}
    assert store.objects == {str(URI): DATA}


def test_a_look_that_has_to_decide_and_fails_is_an_error() -> None:
    """Nobody knows whether the object is there: not a success."""
    store = ScriptedStore(does_and_says(timeout))
    store.head_failures = [error(403, "AccessDenied")] * AGAIN
    with pytest.raises(FastputError):
        finisher(store).complete(sent(store))
    assert store.log.count("complete") == 1


# ---- stores that check nothing


def test_where_nothing_is_checked_the_parts_are_compared_before_complete() -> None:
    store = ScriptedStore()
    finisher(store, UNPROTECTED).complete(sent(store, Checksum.NONE))
    assert store.log[:2] == ["list", "complete"]


@pytest.mark.parametrize("damage", ["bytes", "size", "missing"])
def test_a_part_that_is_not_what_was_sent(damage: str) -> None:
    store = ScriptedStore()
    completion = sent(store, Checksum.NONE)
    parts = store.uploads[completion.upload_id or ""].parts
    if damage == "missing":
        del parts[2]
    else:
        parts[2] = bytes(MIB) if damage == "bytes" else parts[2][:-1]
    with pytest.raises(IntegrityError) as caught:
        finisher(store, UNPROTECTED).complete(completion)
    assert caught.value.part == 2
    assert "complete" not in store.log


def test_a_listing_that_fails_once_does_not_fail_the_upload() -> None:
    """Was a bug: it did."""
    store = ScriptedStore()
    store.list_failures = [error(503, "SlowDown"), timeout()]
    finisher(store, UNPROTECTED).complete(sent(store, Checksum.NONE))
    assert store.objects == {str(URI): DATA}


def test_a_part_that_is_listed_twice() -> None:
    parts = as_sent(Checksum.NONE)
    listed = [ListedPart(part.number, part.length_bytes, part.etag) for part in parts]
    old = ListedPart(2, 5, '"old"')
    check_listed(URI, parts, [listed[0], old, *listed[1:]])
    check_listed(URI, parts, [*reversed(listed), old])
    with pytest.raises(IntegrityError, match="5 bytes with ETag"):
        check_listed(URI, parts, [listed[0], old, *listed[2:]])


# ---- whose object it is


def info(**changes: Any) -> ObjectInfo:
    etag = multipart_etag(as_sent(Checksum.CRC64NVME)) or ""
    return replace(ObjectInfo(len(DATA), f'"{etag}"', None, 0.0), **changes)


OURS = crc64nvme_base64(DATA)
THEIRS = crc64nvme_base64(FOREIGN)
WHOLE = {"is_full_object": True}


@pytest.mark.parametrize(
    ("changes", "checksum", "ours"),
    [
        ({}, Checksum.CRC64NVME, True),
        ({"etag": "no-md5", **WHOLE, "checksums": {"crc64nvme": OURS}}, Checksum.MD5, True),
        ({**WHOLE, "checksums": {"crc64nvme": THEIRS}}, Checksum.CRC64NVME, False),
        ({"etag": "x", **WHOLE, "checksums": {"crc32c": crc32c_base64(DATA)}}, Checksum.CRC32C, True),
        ({**WHOLE, "checksums": {"crc32c": crc32c_base64(FOREIGN)}}, Checksum.CRC32C, False),
        ({"etag": "x", "checksums": {"crc64nvme": OURS}}, Checksum.CRC64NVME, False),
        ({"size_bytes": len(DATA) + 1, **WHOLE, "checksums": {"crc64nvme": OURS}}, Checksum.CRC64NVME, False),
        ({"etag": md5_etag(DATA)}, Checksum.MD5, False),
        ({"etag": ""}, Checksum.NONE, False),
    ],
)
def test_whose_object(changes: dict[str, Any], checksum: Checksum, ours: bool) -> None:
    completion = Completion("id", as_sent(checksum), len(DATA), crc64nvme(DATA))
    assert is_ours(info(**changes), completion, checksum) is ours


def test_etags_that_are_no_md5s_prove_nothing() -> None:
    parts = tuple(replace(part, etag='"opaque"') for part in as_sent(Checksum.MD5))
    assert multipart_etag(parts) is None
    completion = Completion("id", parts, len(DATA), crc64nvme(DATA))
    assert not is_ours(info(), completion, Checksum.MD5)
    assert not is_ours(info(etag="None"), completion, Checksum.MD5)


def test_the_checksum_of_the_object_is_combined_from_its_parts() -> None:
    for checksum, value in [
        (Checksum.CRC64NVME, crc64nvme_base64(DATA)), (Checksum.CRC32C, crc32c_base64(DATA)), (Checksum.MD5, None),
        (Checksum.NONE, None),
    ]:  # fmt: skip
        completion = Completion("id", as_sent(checksum), len(DATA), crc64nvme(DATA))
        assert object_checksum(checksum, completion) == value


def test_a_wait_ends_with_everything_else() -> None:
    waited = threading.Event()

    def step(store: ScriptedStore, honestly: Callable[[], Completed]) -> Completed:
        waited.set()
        raise error(500, "InternalError")

    store, stop, ended = ScriptedStore(*[step] * AGAIN), threading.Event(), threading.Event()
    patient = replace(finisher(store), policy=replace(AT_ONCE, base_s=1e6, cap_s=1e6), stop=stop)
    completion = sent(store)

    def run() -> None:
        with pytest.raises(StoreError):
            patient.complete(completion)
        ended.set()

    threading.Thread(target=run, daemon=True).start()
    assert waited.wait(SECONDS)
    stop.set()
    assert ended.wait(SECONDS)
    assert store.log.count("complete") == 1
