"""The table of engines. One row and one module make an engine; nothing else names it."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from glpn.errors import MissingDependency, UsageError

if TYPE_CHECKING:  # the command line reads the table at every start, without NumPy
    from glpn.engines.protocol import Engine, EngineSettings

AUTO = "auto"
FLOAT32 = "float32"  # every engine computes it


@dataclass(frozen=True)
class EngineRow:
    """One engine.

    Attributes:
        name: the name on the command line and in `glpn.load`.
        package: the import name of the run time.
        extra: the extra of the glpn package that installs it; empty for the core install.
        module: contains the engine's class. It also has `computes_bfloat16()` if `reduced` names
            bfloat16, `best_device()` if the engine runs on other devices than the CPU, and may
            have `matrix_product(matrix, precision, threads)` for `roofline`.
        class_name: the engine's class, with `open(folder, settings)`.
        runs_graph: whether it runs the folder's `model.onnx`, instead of the modules in Python.
        reduced: precisions below float32, the fastest on most CPUs first. "int8+bfloat16" has
            products with 8-bit factors and computes the rest in bfloat16.
        devices: kinds of devices it runs on.
        side_by_side: whether several predictions at once, on one core each, take less time than
            one after the other on all cores.
    """

    name: str
    package: str
    extra: str
    module: str
    class_name: str
    runs_graph: bool = False
    reduced: tuple[str, ...] = ()
    devices: tuple[str, ...] = ("cpu",)
    side_by_side: bool = False

    def is_installed(self) -> bool:
        """Whether the run time can be imported; it is not imported here."""
        return importlib.util.find_spec(self.package) is not None

    def require_installed(self) -> None:
        """Refuse an engine that is not installed.

        Raises:
            MissingDependency: with the command that installs it.
        """
        if not self.is_installed():
            core = "" if self.extra else ": pip install -c constraints.txt ."
            raise MissingDependency(f"engine {self.name} is not installed{core}", extra=self.extra)

    def load_module(self) -> ModuleType:
        """Import the engine's module, and with it the run time."""
        return importlib.import_module(self.module)

    def open(self, folder: Path, settings: EngineSettings) -> Engine:
        """Load a model's folder; raises the errors of `open` of the engine."""
        if settings.device not in (AUTO, *self.devices) and self.devices == ("cpu",):
            raise UsageError(f"device: engine {self.name} runs on the cpu; got {settings.device!r}")
        engine: Engine = getattr(self.load_module(), self.class_name).open(folder, settings)
        return engine


# The engines that start fastest come first: `selection` takes the first one that can run a model.
TABLE = (
    EngineRow(
        "onnxruntime",
        package="onnxruntime",
        extra="",
        module="glpn.engines.onnxruntime",
        class_name="OnnxRuntimeEngine",
        runs_graph=True,
        side_by_side=True,
    ),
    EngineRow(
        "openvino",
        package="openvino",
        extra="openvino",
        module="glpn.engines.openvino.engine",
        class_name="OpenVinoEngine",
        runs_graph=True,
        reduced=("int8+bfloat16", "int8+float32", "bfloat16"),
        side_by_side=True,
    ),
    EngineRow(
        "torch",
        package="torch",
        extra="torch",
        module="glpn.engines.torch",
        class_name="TorchEngine",
        reduced=("bfloat16",),
        devices=("cpu", "cuda", "mps"),
    ),
)


def engine_names() -> tuple[str, ...]:
    """The values of an engine option: "auto" and every engine."""
    return (AUTO, *(row.name for row in TABLE))


def engine_row(name: str) -> EngineRow:
    """The row of an engine.

    Raises:
        UsageError: there is no engine of this name.
    """
    for row in TABLE:
        if row.name == name:
            return row
    known = ", ".join(engine_names())
    raise UsageError(f"engine: expected one of {known}; got {name!r}")


def usable_engines(folder: Path) -> tuple[str, ...]:
    """The installed engines that find their file in a model's folder."""
    from glpn.weights.store import GRAPH_NAME, INDEX_NAME, WEIGHTS_NAME

    files = {True: (GRAPH_NAME,), False: (WEIGHTS_NAME, INDEX_NAME)}
    return tuple(
        row.name
        for row in TABLE
        if row.is_installed() and any((folder / name).is_file() for name in files[row.runs_graph])
    )
