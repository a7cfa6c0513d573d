"""Build hook: compiles the head's kernel into the package, where there is a C compiler.

The library calls nothing outside itself and no CPython API, so one build serves every Python
version. Without a compiler the wheel is pure Python, and glpn runs without the kernel.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FLAGS = [
    "-O3",
    "-std=c11",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-fPIC",
    "-shared",
]
MACOS = "11.0"  # the oldest that both of its processors run
LIBRARY = {"darwin": "_head.dylib", "win32": "_head.dll"}.get(sys.platform, "_head.so")


class KernelHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling calls `initialize` before and `finalize` after it packs a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile `head.c` and mark the wheel as this platform's; a pure wheel if that fails."""
        self.folder = Path(tempfile.mkdtemp())
        native = Path(self.root) / "src/glpn/native"
        library = self.folder / LIBRARY
        if not self.compile(native / "head.c", library):
            return
        if version == "editable":
            shutil.copy(library, native / f"{LIBRARY}.new")
            os.replace(native / f"{LIBRARY}.new", native / LIBRARY)  # it may be in use
        else:
            build_data["force_include"][str(library)] = f"glpn/native/{LIBRARY}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.folder)

    def compile(self, source: Path, library: Path) -> bool:
        """Whether one of the machine's compilers could do it; says so if not."""
        flags = [*FLAGS, f"-mmacosx-version-min={MACOS}"] if sys.platform == "darwin" else FLAGS
        for compiler in compilers():
            command = [*compiler, *flags, "-o", str(library), str(source)]
            done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
            if done.returncode == 0:
                return True
            self.app.display_warning(f"{shlex.join(compiler)}: {done.stderr.strip()[-300:]}")
        self.app.display_warning("No C compiler could build the kernel: glpn runs without it.")
        return False


def compilers() -> list[list[str]]:
    """Commands to try: the environment's CC alone, or what is usually there."""
    if os.environ.get("CC"):
        return [shlex.split(os.environ["CC"])]
    return [[name] for name in ("cc", "gcc", "clang") if shutil.which(name)]


def platform_tag() -> str:
    """The wheel's platform.

    On Linux the library needs no other library and no symbol of the C library, so the oldest
    manylinux that every architecture has is true; musl systems take the plain tag.
    """
    machine = platform.machine()
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        return f"manylinux_2_17_{machine}"
    if sys.platform == "darwin":
        return f"macosx_{MACOS.replace('.', '_')}_{machine}"
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
