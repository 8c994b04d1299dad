"""One child process of the supervisor: started, listened to, restarted with back-off."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
_SOUND_SECONDS = 10.0

_log = logging.getLogger(__name__)


class Child:
    """A module run as a process; it lives as long as its standard input is open."""

    def __init__(self, name: str, module: str, environment: dict[str, str]) -> None:
        self.name, self._module, self._environment = name, module, environment
        self.state = "starting"
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = self._next_start = 0.0
        self._pause = FIRST_PAUSE_SECONDS

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None else None

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; one that can not be started counts as one that has ended at once."""
        self.state = "starting"
        self._started_at = time.monotonic()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **self._environment},
            )
            listener = threading.Thread(target=self._listen, args=(self._process,), name=f"{self.name}-states")
            listener.daemon = True
            listener.start()
        except (OSError, RuntimeError) as error:  # memory, a process, a file descriptor or a thread is not to be had
            if self._process is not None:
                self._process.kill()
                self._process.wait()
            self._back_off(f"can not be started ({error})")

    def keep_alive(self) -> bool:
        """Restart the process if it has ended and its pause is over; return whether it was found dead."""
        if self._process is None:
            if time.monotonic() >= self._next_start:
                self.start()
            return False
        code = self._process.poll()
        if code is None:
            return False
        if time.monotonic() - self._started_at > _SOUND_SECONDS:
            self._pause = FIRST_PAUSE_SECONDS
        self._back_off(f"(pid {self._process.pid}) ended with {code}")
        return True

    def let_go(self) -> None:
        """Ask the process to finish."""
        self.state = "stopping"
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def wait(self, deadline: float) -> bool:
        """Wait for its end; kill it at the deadline. Returns whether it ended by itself and well."""
        if self._process is None:
            return True
        try:
            code = self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _log.error("%s (pid %d) does not end: killed", self.name, self._process.pid)
            self._process.kill()
            code = self._process.wait()
        self._release(self._process)
        return code == 0

    def _back_off(self, why: str) -> None:
        _log.error("%s %s: restart in %.1f s", self.name, why, self._pause)
        self._next_start = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        if self._process is not None:
            self._release(self._process)
        self.state = "dead"  # after the release: what the process said last is not heard any more

    def _release(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            process.stdin.close()
        self._process = None

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                with suppress(ValueError, KeyError, TypeError):  # a library has printed something
                    state = json.loads(line)["state"]
                    if process is self._process and self.state != "stopping":
                        self.state = state
