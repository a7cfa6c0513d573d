"""Build hook: compiles the kernels into the package, where there is a C compiler.

The libraries call nothing outside themselves and no CPython API, so one build serves every Python
version. Without a compiler the wheel is pure Python, and glpn runs without the kernels.
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
# The same source gives the same bytes in any folder: no path, no symbol table, no build identity.
if sys.platform == "linux":
    FLAGS += ["-ffile-prefix-map={folder}=.", "-Wl,--strip-all", "-Wl,--build-id=none"]
MACOS = "11.0"  # the oldest that both of its processors run
SUFFIX = {"darwin": "dylib", "win32": "dll"}.get(sys.platform, "so")
# Each becomes _NAME.SUFFIX beside it.
SOURCES = (
    "glpn/native/head.c",
    "glpn/native/enlarge.c",
    "glpn/native/shrink.c",
    "glpn/synthetic/rendering/rays.c",
    "glpn/synthetic/rendering/surface.c",
)
# Flags of some: the bits of these are numpy's, which rounds every product.
MORE_FLAGS = {"enlarge.c": ["-ffp-contract=off"]}


class KernelHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling calls `initialize` before and `finalize` after it packs a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the kernels and mark the wheel as this platform's; a pure one if that fails."""
        self.folder = Path(tempfile.mkdtemp())
        sources = [Path(self.root) / "src" / name for name in SOURCES]
        libraries = [self.folder / f"_{source.stem}.{SUFFIX}" for source in sources]
        if not all(map(self.compile, sources, libraries)):
            return
        for source, library in zip(sources, libraries, strict=True):
            self.place(library, source.parent, version, build_data)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag()}"

    def place(self, library: Path, folder: Path, version: str, build_data: dict[str, Any]) -> None:
        """Put a library beside its source, where the package is run from there, or in the wheel."""
        if version == "editable":
            fresh = folder / f"{library.name}.new"
            shutil.copy(library, fresh)
            os.replace(fresh, folder / library.name)  # the old one may be in use
        else:
            where = folder.relative_to(Path(self.root) / "src") / library.name
            build_data["force_include"][str(library)] = where.as_posix()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.folder)

    def compile(self, source: Path, library: Path) -> bool:
        """Whether one of the machine's compilers could do it; says so if not."""
        flags = [flag.format(folder=source.parent) for flag in FLAGS]
        flags += MORE_FLAGS.get(source.name, [])
        if sys.platform == "darwin":
            flags.append(f"-mmacosx-version-min={MACOS}")
        for compiler in compilers():
            command = [*compiler, *flags, "-o", str(library), str(source)]
            done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
            if done.returncode == 0:
                return True
            self.app.display_warning(f"{shlex.join(compiler)}: {done.stderr.strip()[-300:]}")
        self.app.display_warning("No C compiler could build the kernels: glpn runs without.")
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
