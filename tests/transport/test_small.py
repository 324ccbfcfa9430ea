"""Batches of small files over connections of our own: what arrives, what is said of each, when connections end."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from awscrt import checksums

from fastput.model import Credentials, Endpoint, TlsOptions
from fastput.native import put
from fastput.native.connections import Connections
from fastput.store.memory import MemoryCredentials
from fastput.transport import MOST_SMALL_BYTES, MOST_SMALL_FILES, SmallAnswer, SmallFile
from fastput.transport.small import SmallSender
from tests.support.certificates import make
from tests.support.content import content, crc64nvme_base64, decode_aws_chunked
from tests.support.tcp import Listener, closed_port, serve_silence, serve_tls

SECONDS = 60
OK = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 0\r\n\r\n'


@dataclass
class Server:
    """Answers requests, and says of each by which connection it came.

    Attributes:
        answers: to the requests in order, then OK; None: the connection is closed instead.
        closes_after: a connection is closed after so many answers, without saying so before.
    """

    answers: list[bytes | None] = field(default_factory=list)
    closes_after: int | None = None
    requests: list[tuple[int, bytes]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    ended: list[threading.Event] = field(default_factory=list)
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.ended.append(threading.Event())
                threading.Thread(target=self._serve, args=(connection, len(self.ended) - 1), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), connection:
            count = 0
            while count != self.closes_after:
                request = b""
                while b"\r\n\r\n" not in request:
                    if not (got := connection.recv(1 << 16)):
                        return
                    request += got
                head, _, rest = request.partition(b"\r\n\r\n")
                fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
                length = int(fields[b"content-length"])
                while len(rest) < length:
                    rest += connection.recv(min(length - len(rest), 1 << 16))
                assert len(rest) == length
                self.bodies.append(rest)
                self.requests.append((number, head))
                answer = self.answers.pop(0) if self.answers else OK
                if answer is None:
                    break
                connection.sendall(answer)
                count += 1
        self.ended[number].set()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield server
    server.listener.shutdown(socket.SHUT_RDWR)
    server.listener.close()
    thread.join()


@contextlib.contextmanager
def sender_to(port: int, scheme: str = "http", tls: TlsOptions | None = None) -> Iterator[SmallSender]:
    endpoint = Endpoint(scheme, "127.0.0.1", port, "/bucket", "us-east-1")
    sender = SmallSender(endpoint, MemoryCredentials, tls or TlsOptions())
    yield sender
    sender.close()


def port_of(server: Listener) -> int:
    return int(server.url.rpartition(":")[2])


def known(path: Path, data: bytes | None = None) -> SmallFile:
    if data is not None:
        path.write_bytes(data)
    status = path.stat()
    return SmallFile(str(path), status.st_size, status.st_mtime_ns, f"/bucket/{path.name}", (("x-amz-meta-a", "b"),))


@pytest.fixture
def files(tmp_path: Path) -> list[SmallFile]:
    return [known(tmp_path / f"f{number}", content(1000 * number, number)) for number in range(5)]


def send(sender: SmallSender, files: Sequence[SmallFile]) -> SmallAnswer:
    answers: list[SmallAnswer] = []
    is_done = threading.Event()
    sender.send(files, lambda answer: (answers.append(answer), is_done.set()))  # type: ignore[func-returns-value]
    assert is_done.wait(SECONDS)
    assert len(answers) == 1
    return answers[0]


def outcomes(answer: SmallAnswer) -> list[int]:
    return [sent.outcome for sent in answer.sent]


@pytest.mark.parametrize("size_bytes", [0, 1, 15, 16, 4095, 4096, 65_536, 190_000, MOST_SMALL_BYTES])
def test_what_arrives(server: Server, tmp_path: Path, size_bytes: int) -> None:
    data = content(size_bytes)
    with sender_to(server.port) as sender:
        answer = send(sender, [known(tmp_path / "f", data)])
    framed = decode_aws_chunked(server.bodies[0])
    assert framed.data == data
    assert framed.trailers == {"x-amz-checksum-crc64nvme": crc64nvme_base64(data)}
    sent = answer.sent[0]
    assert (sent.outcome, sent.status, sent.etag) == (put.DONE, 200, '"e"')
    assert sent.crc64nvme == checksums.crc64nvme(data)
    status = os.stat(tmp_path / "f")
    assert (sent.device, sent.inode, sent.ctime_ns) == (status.st_dev, status.st_ino, status.st_ctime_ns)


def test_the_head(server: Server, files: list[SmallFile]) -> None:
    with sender_to(server.port) as sender:
        send(sender, files[3:4])
    lines = server.requests[0][1].decode().split("\r\n")
    assert lines[0] == "PUT /bucket/f3 HTTP/1.1"
    fields = dict(line.split(": ", 1) for line in lines[1:])
    assert len(fields) == len(lines) - 1
    assert fields["x-amz-meta-a"] == "b"
    assert fields["x-amz-decoded-content-length"] == "3000"
    assert fields["x-amz-trailer"] == "x-amz-checksum-crc64nvme"
    assert fields["x-amz-content-sha256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert {"host", "authorization", "x-amz-date", "content-encoding"} <= set(fields)


def test_one_connection_for_all_of_them(server: Server, files: list[SmallFile]) -> None:
    with sender_to(server.port) as sender:
        assert outcomes(send(sender, files)) == [put.DONE] * 5
        assert outcomes(send(sender, files)) == [put.DONE] * 5
    assert [number for number, _ in server.requests] == [0] * 10


def test_one_that_has_ended_meanwhile_is_not_used(server: Server, files: list[SmallFile]) -> None:
    server.closes_after = 1
    with sender_to(server.port) as sender:
        for number in range(3):
            assert outcomes(send(sender, files[:1])) == [put.DONE]
            assert server.ended[number].wait(SECONDS)
    assert [number for number, _ in server.requests] == [0, 1, 2]


def test_one_that_says_that_it_ends(server: Server, files: list[SmallFile]) -> None:
    server.answers = [b'HTTP/1.1 200 OK\r\nETag: "e"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'] * 2
    with sender_to(server.port) as sender:
        assert outcomes(send(sender, files)) == [put.DONE] * 5
    assert [number for number, _ in server.requests] == [0, 1, 2, 2, 2]


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nETag: x\r\n"])
def test_an_answer_that_is_cut_short(server: Server, files: list[SmallFile], answer: bytes | None) -> None:
    """The files before are known to have arrived; the others weren't tried."""
    server.answers = [OK, OK, answer]
    server.closes_after = 3
    with sender_to(server.port) as sender:
        lost = send(sender, files)
        assert (outcomes(lost), lost.is_lost) == ([put.DONE] * 2, True)
        server.closes_after = None
        assert outcomes(send(sender, files)) == [put.DONE] * 5


def test_what_is_no_http(server: Server, files: list[SmallFile]) -> None:
    server.answers = [b"220 mail.example ESMTP\r\n\r\n"]
    with sender_to(server.port) as sender:
        answer = send(sender, files)
        assert (outcomes(answer), answer.is_lost) == ([put.STRANGE], False)
        assert outcomes(send(sender, files)) == [put.DONE] * 5


@pytest.mark.parametrize("status", [301, 400, 403, 404, 412, 500, 503])
def test_a_refusal_ends_the_batch(server: Server, files: list[SmallFile], status: int) -> None:
    body = b"<Error><Code>It</Code></Error>"
    server.answers = [OK, b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)]
    with sender_to(server.port) as sender:
        answer = send(sender, files)
        assert outcomes(answer) == [put.DONE, put.REFUSED]
        assert (answer.sent[1].status, answer.is_lost) == (status, False)
        assert outcomes(send(sender, files[:1])) == [put.DONE]
    assert [number for number, _ in server.requests] == [0, 0, 0]  # its body was read


def test_success_without_an_etag_is_none(server: Server, files: list[SmallFile]) -> None:
    server.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
    with sender_to(server.port) as sender:
        assert outcomes(send(sender, files)) == [put.REFUSED]


def test_what_the_answer_says(server: Server, files: list[SmallFile]) -> None:
    head = b'HTTP/1.1 200 OK\r\netag:"abc"  \r\nX-AMZ-Version-Id: v.1\r\nx-amz-checksum-crc64nvme: AAAAAAAAAAA=\r\n'
    server.answers = [b"HTTP/1.1 100 Continue\r\n\r\n" + head + b"Content-Length: 0\r\n\r\n"]
    with sender_to(server.port) as sender:
        sent = send(sender, files[:1]).sent[0]
    assert (sent.outcome, sent.etag, sent.version_id) == (put.DONE, '"abc"', "v.1")
    assert sent.kept_crc64nvme == "AAAAAAAAAAA="


def test_files_that_are_not_what_was_known(server: Server, tmp_path: Path) -> None:
    """They keep none of the others, and nothing of them is sent."""
    good = known(tmp_path / "good", b"good")
    gone = known(tmp_path / "gone", b"gone")
    (tmp_path / "gone").unlink()
    longer = known(tmp_path / "longer", b"1")
    (tmp_path / "longer").write_bytes(b"12")
    touched = known(tmp_path / "touched", b"1")
    os.utime(tmp_path / "touched", ns=(1, 1))
    os.mkfifo(tmp_path / "pipe")
    pipe = known(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    directory = known(tmp_path / "directory")
    directory = SmallFile(directory.path, 0, directory.mtime_ns, directory.object_path, ())
    proc = SmallFile("/proc/self/status", 0, os.stat("/proc/self/status").st_mtime_ns, "/bucket/proc", ())
    with sender_to(server.port) as sender:
        answer = send(sender, [gone, longer, good, touched, pipe, directory, proc, good])
    expected = [put.UNREADABLE, put.CHANGED, put.DONE, put.CHANGED, put.CHANGED, put.CHANGED, put.CHANGED, put.DONE]
    assert outcomes(answer) == expected
    assert [decode_aws_chunked(body).data for body in server.bodies] == [b"good"] * 2


def test_a_file_that_is_written_to_while_it_is_sent(tmp_path: Path) -> None:
    file = known(tmp_path / "f", b"before")
    answers: list[SmallAnswer] = []
    is_done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, sender_to(listener.getsockname()[1]) as sender:
        sender.send([file], lambda answer: (answers.append(answer), is_done.set()))  # type: ignore[func-returns-value]
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            (tmp_path / "f").write_bytes(b"after")
            connection.sendall(OK)
            assert is_done.wait(SECONDS)
    assert outcomes(answers[0]) == [put.CHANGED]


def test_nobody_listens(files: list[SmallFile]) -> None:
    with sender_to(closed_port()) as sender:
        answer = send(sender, files)
    assert (outcomes(answer), answer.is_lost) == ([], True)


def test_as_many_at_a_time_as_there_are(server: Server, files: list[SmallFile]) -> None:
    count, answers, is_done = 100, [], threading.Event()

    def done(answer: SmallAnswer) -> None:
        answers.append(answer)
        if len(answers) == count:
            is_done.set()

    with sender_to(server.port) as sender:
        for _ in range(count):
            sender.send(files, done)
        assert is_done.wait(SECONDS)
    assert {tuple(outcomes(answer)) for answer in answers} == {(put.DONE,) * 5}
    assert len(server.requests) == 500


def test_the_largest_batch(server: Server, tmp_path: Path) -> None:
    files = [known(tmp_path / f"f{number}", content(MOST_SMALL_BYTES, number)) for number in range(MOST_SMALL_FILES)]
    with sender_to(server.port) as sender:
        assert outcomes(send(sender, files)) == [put.DONE] * MOST_SMALL_FILES


def test_cancelling(files: list[SmallFile]) -> None:
    answers: list[SmallAnswer] = []
    is_done = threading.Event()
    with serve_silence() as server, sender_to(port_of(server)) as sender:
        ticket = sender.send(files, lambda answer: (answers.append(answer), is_done.set()))  # type: ignore[func-returns-value]
        server.wait()
        ticket.cancel()
        assert is_done.wait(SECONDS)
        ticket.cancel()
    assert (outcomes(answers[0]), answers[0].is_lost) == ([], True)


def test_closing_cancels_what_is_under_way(files: list[SmallFile]) -> None:
    answers: list[SmallAnswer] = []
    with serve_silence() as server:
        with sender_to(port_of(server)) as sender:
            for _ in range(5):
                sender.send(files, answers.append)
            server.wait()
        assert [answer.is_lost for answer in answers] == [True] * 5


def test_credentials_are_asked_for_each_batch(server: Server, files: list[SmallFile]) -> None:
    calls: list[int] = []

    def count() -> Credentials:
        calls.append(1)
        return MemoryCredentials()

    sender = SmallSender(Endpoint("http", "127.0.0.1", server.port, "/bucket", "us-east-1"), count, TlsOptions())
    for _ in range(3):
        send(sender, files)
    sender.close()
    assert len(calls) == 4  # once to see that there are any


def test_the_kernel_counts_them(server: Server, tmp_path: Path) -> None:
    with sender_to(server.port) as sender:
        if sender.epoll is None:
            pytest.skip("not on Linux")
        connections = Connections([sender.epoll], server.port)
        if connections.look() is None:
            pytest.skip("no TCP_INFO here")
        send(sender, [known(tmp_path / "f", content(100_000))] * 3)
        totals = connections.look()
        assert totals is not None
        acknowledged_bytes, open_connections = totals[0], totals[6]
        assert open_connections == 1
        assert acknowledged_bytes > 300_000


# ---- TLS


def test_over_tls(server: Server, files: list[SmallFile], tmp_path_factory: pytest.TempPathFactory) -> None:
    bundle, certificate = make(tmp_path_factory.mktemp("certificates"))
    refusal = b"HTTP/1.1 404 X\r\nContent-Length: 2\r\n\r\nno"
    server.answers = [OK, OK, refusal, OK, OK, OK, None]
    with serve_tls(("127.0.0.1", server.port), str(certificate)) as front:
        with sender_to(port_of(front), "https", TlsOptions(ca_bundle=str(bundle))) as sender:
            assert outcomes(send(sender, files)) == [put.DONE, put.DONE, put.REFUSED]
            lost = send(sender, files)
            assert (outcomes(lost), lost.is_lost) == ([put.DONE] * 3, True)
            assert outcomes(send(sender, files)) == [put.DONE] * 5
        data = [decode_aws_chunked(body).data for body in server.bodies]
        assert data[-5:] == [Path(file.path).read_bytes() for file in files]
        with sender_to(port_of(front), "https") as sender:
            untrusted = send(sender, files)
        assert (outcomes(untrusted), untrusted.is_lost) == ([], True)
