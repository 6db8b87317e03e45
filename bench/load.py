"""A load client so light that the server is what is measured: prebuilt bytes out, status and length in."""

import contextlib
import gc
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.processes import CLIENT, BenchError, Server, pinned

BUFFER = bytearray(1 << 18)
"""What arrives is put here and looked at in place: the client copies and keeps no body."""

HEAD_END = b"\r\n\r\n"
SILENCE_S = 60.0
"""How long all connections may be without an answer. The recipe's slowest took 2 s (measured 2026-11)."""


@dataclass(slots=True)
class Load:
    """What one run of the client saw between its warm-up and its end.

    Args:
        seconds: length of the measured window.
        latencies_ms: one for each good answer in the window, from its request's first byte to its own last; sorted.
        failures: how many answers in the window had another status than 2xx, by status.
        body_bytes: length of the last answer's body.
        client_share: part of a core that the client itself used. Near 1.0 the client is what was measured.
    """

    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    failures: Counter[int] = field(default_factory=Counter)
    body_bytes: int = 0
    client_share: float = 0.0

    def add(self, connection: "Connection", now: float) -> None:
        """Count the answer that has just become whole."""
        if 200 <= connection.status < 300:
            self.latencies_ms.append((now - connection.sent_at) * 1000)
            self.body_bytes = connection.length
        else:
            self.failures[connection.status] += 1

    @property
    def per_second(self) -> float:
        """Good answers per second."""
        return len(self.latencies_ms) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """The latency that `percent` of the answers did not exceed."""
        return self.latencies_ms[int((len(self.latencies_ms) - 1) * percent / 100)]


class Connection:
    """One keep-alive connection with at most one request of its stream under way."""

    __slots__ = ("head", "length", "load", "missing", "requests", "sent_at", "sock", "status")

    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests = requests
        self.load = Load()
        self.head = b""
        self.length = self.missing = self.status = 0
        self.sent_at = 0.0

    def close(self) -> None:
        """Hang up."""
        self.sock.close()

    def send_next(self) -> bool:
        """Send the next request and start its clock; false when there is none left."""
        request = next(self.requests, None)
        if request is None:
            return False
        self.sent_at = time.perf_counter()
        self.sock.sendall(request)
        return True

    def receive(self) -> bool:
        """Take what has arrived; true once the answer is whole."""
        count = self.sock.recv_into(BUFFER)
        if not count:
            raise BenchError("it hung up before its answer was whole")
        if self.missing:
            self.missing -= count
            return not self.missing
        end = -1 if self.head else BUFFER.find(HEAD_END, 0, count)
        if end < 0:  # a head in pieces
            self.head += BUFFER[:count]
            end, count = self.head.find(HEAD_END), len(self.head)
            if end < 0:
                return False
        self.status, self.length = parse_head(self.head[:end] or bytes(BUFFER[:end]))
        self.missing = self.length - (count - end - len(HEAD_END))
        self.head = b""
        return not self.missing


@dataclass(frozen=True)
class Stream:
    """Requests that some connections send between them, each the next one as soon as its answer is whole."""

    requests: Iterator[bytes]
    connections: int


def parse_head(head: bytes) -> tuple[int, int]:
    """Status and body length of an answer."""
    status = int(head[9:12])
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at >= 0:
        return status, int(lower[at + 17 :].split(b"\r\n", 1)[0])
    if status in {204, 304}:
        return status, 0
    raise BenchError(f"it answered {status} without Content-Length")


def request_bytes(method: str, path: str, body: bytes = b"") -> bytes:
    """A whole HTTP/1.1 request, ready to be sent again and again."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def drive(
    server: Server,
    requests: Iterator[bytes],
    *,
    connections: int,
    seconds: float = float("inf"),
    warm_up_s: float = 0.0,
) -> Load:
    """One stream of requests by itself; see `drive_together`."""
    return drive_together(server, [Stream(requests, connections)], seconds=seconds, warm_up_s=warm_up_s)[0]


def drive_together(
    server: Server, streams: Sequence[Stream], *, seconds: float = float("inf"), warm_up_s: float = 0.0
) -> list[Load]:
    """Send all streams at once, and tell them apart.

    The collector is off meanwhile, so that a pause of the client never counts as the server's. Every request that was
    sent is answered before this returns, so that the server's state is known.

    Args:
        server: the one to measure.
        streams: the run ends with their requests, or when the time is up.
        seconds: length of the measured window, after the warm-up.
        warm_up_s: answers before it has passed do not count.

    Returns: what was seen of each stream; `client_share` is that of all of them.
    Raises:
        BenchError: the server cannot be reached, hangs up, falls silent, or answers without a length.
    """
    with pinned(CLIENT), _collector_off(), contextlib.ExitStack() as stack:
        try:
            pools = [
                [stack.enter_context(contextlib.closing(Connection(server.port, one.requests))) for _ in range(one.connections)]
                for one in streams
            ]
            return _drive(pools, warm_up_s, seconds)
        except (OSError, BenchError) as error:
            raise BenchError(f"{server.name} failed under load: {error}") from error


def _drive(pools: Sequence[Sequence[Connection]], warm_up_s: float, seconds: float) -> list[Load]:
    loads = [Load() for _ in pools]
    started, cpu = time.perf_counter(), time.process_time()
    begin = started + warm_up_s
    end = begin + seconds
    with selectors.DefaultSelector() as selector:
        waiting = 0
        for pool, load in zip(pools, loads, strict=True):
            for connection in pool:
                connection.load = load
                selector.register(connection.sock, selectors.EVENT_READ, connection)
                waiting += connection.send_next()
        while waiting:
            for connection in _whole_answers(selector):
                now = time.perf_counter()
                if begin <= now <= end:
                    connection.load.add(connection, now)
                if now > end or not connection.send_next():
                    waiting -= 1
    finished = time.perf_counter()
    for load in loads:
        load.seconds = min(seconds, finished - begin)
        load.client_share = (time.process_time() - cpu) / (finished - started)
        load.latencies_ms.sort()
        if not load.latencies_ms:
            raise BenchError(f"no good answer came in {load.seconds:.1f} s, but {dict(load.failures)} (by status)")
    return loads


def _whole_answers(selector: selectors.BaseSelector) -> Iterator[Connection]:
    ready = selector.select(SILENCE_S)
    if not ready:
        raise BenchError(f"no answer at all for {SILENCE_S:.0f} s")
    for key, _ in ready:
        if key.data.receive():
            yield key.data


@contextlib.contextmanager
def _collector_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
