"""Several processes that serve one registry at one address.

This one accepts the connections and hands them over in turn: where two accept from one socket, one took up to 31 of 32 that
came together (2026-11). It forks the others, and puts another in the place of one that ends.
"""

import contextlib
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

STOPS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
AWAITED = STOPS | {signal.SIGCHLD, signal.SIGALRM}
SHORT_S = 3.0
"""One of the first workers that ends by itself within this time would do so again: what it says is the service's own end."""

AGAIN_S = 1.0
"""How long after its beginning a worker that has ended is replaced, at the soonest; and how long to wait when files run short."""

GRACE_S = 10
"""How long workers have to stop, each of which gives its requests `serve.GRACE_S`."""

BACKLOG = 2048
"""Connections that may wait to be accepted, as many as uvicorn's own default."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One that runs, and the way to it."""

    number: int
    began: float
    channel: socket.socket


class Workers:
    """Keeps so many workers until told to stop.

    The process that does so opens no database and starts no thread: whatever it had would be broken in those forked from it.

    Args:
        count: how many there are.
        listening: where connections come from.
        work: does the work of one; called in its process with its number, from 0 on, and the channel on which connections come
            (see `api.handed`). That ends when this process does.
    """

    def __init__(self, count: int, listening: socket.socket, work: Callable[[int, socket.socket], None]) -> None:
        self.count, self.listening, self.work = count, listening, work
        self._signals, self._signalled = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._running: dict[int, Worker] = {}
        self._due: dict[int, float] = {}  # number -> when it is to begin
        self._exit_code: int | None = None

    def run(self) -> None:
        """Start them and replace those that end. Returns in a worker, when its work is done.

        Raises:
            SystemExit: they were told to stop (0), or one could not begin (its own exit code).
        """
        for one in (self._signals, self._signalled, self.listening):
            one.settimeout(0)
        signal.set_wakeup_fd(self._signalled.fileno())
        for awaited in AWAITED:
            signal.signal(awaited, lambda *_: None)
        self.listening.listen(BACKLOG)
        self._selector.register(self.listening, selectors.EVENT_READ, self._accept)
        self._selector.register(self._signals, selectors.EVENT_READ, self._hear)
        self._began = time.monotonic()
        self._due = dict.fromkeys(range(self.count), self._began)
        while self._due or self._running:
            for number in [number for number, at in self._due.items() if at <= time.monotonic()]:
                del self._due[number]
                channel = self._fork(number)
                if channel is not None:
                    return self.work(number, channel)
            for key, _ in self._selector.select(AGAIN_S / 4 if self._due else None):
                key.data()
            self._replace()
        sys.exit(self._exit_code)

    def _fork(self, number: int) -> socket.socket | None:
        """Start one; the channel in its process, None in this one."""
        ours, its = socket.socketpair()
        signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)  # the new process loses none before it can act on it
        process_id = os.fork()
        if process_id:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, AWAITED)
            its.close()
            ours.settimeout(0)
            self._running[process_id] = Worker(number, time.monotonic(), ours)
            return None
        signal.set_wakeup_fd(-1)
        for one in AWAITED - {signal.SIGHUP}:  # of a terminal that is closed all are told, and the first process stops the others
            signal.signal(one, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, AWAITED)
        self._selector.close()
        for inherited in (ours, self._signals, self._signalled, self.listening, *(one.channel for one in self._running.values())):
            inherited.close()  # each channel ends with the process that keeps the workers, and with no other
        return its

    def _accept(self) -> None:
        """Hand over what has come, each connection to the worker whose turn it is."""
        if self._exit_code is not None:  # told to stop in the same moment
            return
        try:
            while True:
                connection, _ = self.listening.accept()
                with connection:
                    self._hand_over(connection)
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:  # no more files, or no memory: it waits in the backlog
            log.warning("a connection could not be accepted: %s", error.strerror)
            time.sleep(AGAIN_S / 10)

    def _hand_over(self, connection: socket.socket) -> None:
        for process_id, worker in list(self._running.items()):
            self._running[process_id] = self._running.pop(process_id)  # to the end of the line
            with contextlib.suppress(OSError):  # it has just ended, or has more than it can take
                socket.send_fds(worker.channel, [b"1"], [connection.fileno()])
                return

    def _hear(self) -> None:
        """Act on the signals that have come."""
        for number in self._signals.recv(4096):
            if number in STOPS:
                self._stop(os.EX_OK)
            elif number == signal.SIGALRM:  # some did not stop in time
                self._signal_all(signal.SIGKILL)

    def _stop(self, exit_code: int) -> None:
        if self._exit_code is None:
            self._exit_code = exit_code
            self._due.clear()
            self._selector.unregister(self.listening)
            self.listening.close()
            signal.alarm(GRACE_S)
            self._signal_all(signal.SIGTERM)

    def _replace(self) -> None:
        """Have others take the place of those that have ended and should not have."""
        while self._running:
            process_id, status = os.waitpid(-1, os.WNOHANG)
            if not process_id:
                break
            worker = self._running.pop(process_id, None)
            if worker is None:  # as process 1 of a container it inherits what a worker has left behind, such as a backup
                continue
            worker.channel.close()
            ended = os.waitstatus_to_exitcode(status)
            if ended == -signal.SIGINT:  # a terminal tells all of them, and this one may hear of it last
                self._stop(os.EX_OK)
            elif ended > 0 and time.monotonic() - self._began < SHORT_S:
                self._stop(ended)
            if self._exit_code is None:
                said = f"exit code {ended}" if ended >= 0 else signal.Signals(-ended).name
                log.error("worker %d ended with %s; another takes its place", worker.number, said)
                self._due[worker.number] = worker.began + AGAIN_S

    def _signal_all(self, number: signal.Signals) -> None:
        for process_id in self._running:
            os.kill(process_id, number)
