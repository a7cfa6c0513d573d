"""Findings: the defects of a set of frames."""

from __future__ import annotations

from dataclasses import dataclass, replace

from glpn.data.frames import counted, plural
from glpn.errors import GLPNError

ERROR, WARNING = "error", "warning"
MAX_FRAMES_LISTED = 20  # number of frames that the text of a report names


@dataclass(frozen=True)
class Finding:
    """One defect; `frames` names the affected frames and is empty if it affects the whole set."""

    kind: str
    severity: str
    message: str
    frames: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" [{counted(self.frames, 'frame')}]" if self.frames else ""
        return f"{self.severity}: {self.kind}: {self.message}{where}"


@dataclass(frozen=True)
class Report:
    """All findings about a set, and notes on checks that were impossible for this set."""

    checked: int
    findings: tuple[Finding, ...]
    unjudged: tuple[str, ...] = ()

    def extended(self, finding: Finding) -> Report:
        """The report with one more finding."""
        return replace(self, findings=(*self.findings, finding))

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that would spoil training."""
        return tuple(f for f in self.findings if f.severity == ERROR)

    @property
    def exit_code(self) -> int:
        """0 without errors, 65 (bad data) otherwise."""
        return GLPNError.exit_code if self.errors else 0

    @property
    def frames(self) -> dict[str, tuple[str, ...]]:
        """Return the kinds of the findings that name each frame, in order of first mention."""
        kinds: dict[str, tuple[str, ...]] = {}
        for finding in self.findings:
            for name in finding.frames:
                kinds[name] = (*kinds.get(name, ()), finding.kind)
        return kinds

    def __str__(self) -> str:
        warnings = len(self.findings) - len(self.errors)
        head = (
            f"{plural(self.checked, 'frame')} checked: {plural(len(self.errors), 'error')}, "
            f"{plural(warnings, 'warning')}"
        )
        by_frame = [f"  {name}: {', '.join(kinds)}" for name, kinds in self.frames.items()]
        if len(by_frame) > MAX_FRAMES_LISTED:
            rest = len(by_frame) - MAX_FRAMES_LISTED
            by_frame[MAX_FRAMES_LISTED:] = [f"  and {plural(rest, 'more frame')}"]
        judged = (f"not judged: {sentence}" for sentence in self.unjudged)
        return "\n".join([head, *map(str, self.findings), *by_frame, *judged])
