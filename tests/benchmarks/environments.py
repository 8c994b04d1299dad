"""A virtual environment of its own for everything that is measured beside us, made by uv from a pinned list."""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_INSTALL_SECONDS = 900


class InstallError(Exception):
    """It can not be installed; the message is the reason that a table shows."""


@dataclass(frozen=True)
class Environment:
    """One environment.

    Attributes:
        home: Its folder.
        pins: The list, `requirements.txt`.
    """

    home: Path
    pins: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.home / "venv" / "bin" / "python"

    def is_installed(self) -> bool:
        """Return whether it stands as the pinned list says."""
        mark = self.home / "installed"
        return mark.exists() and mark.read_text() == self._digest()

    def install(self) -> None:
        """Make it anew.

        Raises:
            InstallError: uv says no.
        """
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        uv = str(Path(sys.executable).with_name("uv"))
        for command in (
            [uv, "venv", "--quiet", "--python", sys.executable, str(self.home / "venv")],
            [uv, "pip", "install", "--quiet", "--python", str(self.python), "--requirement", str(self.pins)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
            if done.returncode:
                raise InstallError(f"does not install: {last_line(done.stderr)}")
        (self.home / "installed").write_text(self._digest())

    def version_of(self, package: str) -> str:
        """Return the pinned version of a package."""
        pins = self.pins.read_text().splitlines()
        return next(pin.split("==")[1].split()[0] for pin in pins if pin.startswith(f"{package}=="))

    def _digest(self) -> str:
        return hashlib.sha256(self.pins.read_bytes()).hexdigest()


def last_line(text: str) -> str:
    """Return the last line of a process' output that says something, shortened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "without a word"
