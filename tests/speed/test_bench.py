import os
import socket
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from itertools import pairwise, repeat
from pathlib import Path

import pytest
from bench.chart import chart
from bench.load import Connection, Stream, drive_together, request_bytes
from bench.processes import CLIENT, CORES, SERVER, BenchError, Server, ended, free_port, pinned
from bench.publish import block, settings
from bench.report import Figure, table


def answering(*pieces: bytes) -> int:
    """A port whose listener sends these pieces, one at a time, to whoever connects, and then hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with listener, listener.accept()[0] as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                connection.recv(1000)
                connection.sendall(piece)

    threading.Thread(target=answer, daemon=True).start()
    return int(listener.getsockname()[1])


@pytest.mark.parametrize("cuts", [(), (10,), (30, 60), (45,), (5, 44)])
def test_an_answer_in_any_pieces_is_whole_at_its_last_byte(cuts: tuple[int, ...]) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + b"x" * 40
    ends = (0, *cuts, len(whole))
    pieces = [whole[start:end] for start, end in pairwise(ends)]
    connection = Connection(answering(*pieces), repeat(b"GET"))

    seen = []
    for _ in pieces:
        connection.send_next()
        seen.append(connection.receive())
    connection.close()

    assert seen == [False] * len(cuts) + [True]
    assert (connection.status, connection.length) == (200, 40)


def test_a_server_that_cannot_be_reached_or_hangs_up_ends_the_run() -> None:
    for port in (free_port(), answering()):
        server = Server("nobody", port, process=None, started_s=0.0)  # type: ignore[arg-type]
        with pytest.raises(BenchError, match="nobody failed under load"):
            drive_together(server, [Stream(repeat(request_bytes("GET", "/")), 1)], seconds=0.1)


@pytest.mark.skipif(len(CORES) < 2, reason="one core only")
def test_a_server_that_is_started_by_a_pinned_client_has_its_own_core() -> None:
    with pinned(CLIENT):
        with pinned(SERVER):
            servers = os.sched_getaffinity(0)
        clients = os.sched_getaffinity(0)

    assert (servers, clients, os.sched_getaffinity(0)) == ({CORES[0]}, {CORES[1]}, set(CORES))


def test_a_figure_is_met_by_its_own_bar_only() -> None:
    assert Figure("rate", "per s", [70], [10], times=7, aim=11).met
    assert Figure("p99", "ms", [9], [80], better="less", times=10).met is False
    assert Figure("start", "s", [0.8], most=0.7, aim=0.4).met is False
    assert Figure("rows", "rows/s", [80_000, 1, 90_000], least=8e4).met
    assert Figure("memory", "MB", [90]).met is None


def test_the_table_tells_ratio_bar_aim_and_a_client_that_was_the_limit() -> None:
    line = table([Figure("rate", "per s", [70], [10], times=8, aim=11, client_share=0.95)]).splitlines()[1]

    assert line.split("  ")[-2:] == ["NO (client-bound)", ">= 11x"]
    assert "the recipe" in line
    assert "7.00x" in line


def test_a_chart_is_xml_that_shows_each_figure() -> None:
    root = ET.fromstring(chart("Reads & more", "/s", {"the recipe": 400, "Homedex": 2345.6}, "a day"))  # noqa: S314  (our own)

    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["Reads & more", "the recipe", "400 /s", "Homedex", "2,346 /s", "a day"]


def test_a_block_of_the_page_has_a_row_for_each_figure_and_only_the_slowest_of_many_lists() -> None:
    pages = [Figure(f"page: {number}", "x", [2 - number / 100], better="less", most=1.5) for number in range(20)]

    assert "| rate | 70 per s | 10 per s (the recipe) | 7.00x | >= 7x | yes |  |" in block(
        "reads", [Figure("rate", "per s", [70], [10], times=7)]
    )
    assert block("large", [*pages, Figure("export", "rows/s", [1])]).count("\n| ") == 2 + 8 + 1
    assert "| `synchronous` | FULL | NORMAL |" in settings(
        {"Homedex": {"synchronous": "FULL"}, "recipe": {"synchronous": "NORMAL"}}
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from /proc")
def test_the_memory_of_a_command_is_its_own_and_not_that_of_who_started_it() -> None:
    ours = bytearray(os.urandom(1 << 20)) * 200
    small, large = (
        ended(subprocess.Popen([sys.executable, "-c", f"import time; x = bytearray(b'x') * {size << 20}; time.sleep(0.2)"]))
        for size in (1, 100)
    )
    assert len(ours) > small * (1 << 20)
    assert 90 < large - small < 120
