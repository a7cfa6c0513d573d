"""Sign the bundled models and pin their checksums in `weights/integrity.py`.

    python scripts/pin_models.py

Run it after a file of a bundled model changed on purpose.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from glpn.weights import hub, integrity


def main() -> None:
    """Rewrite every `checksums.json`, then the table of pins."""
    lines = []
    for name, folder in hub.bundled().items():
        digest = hashlib.sha256(integrity.sign(folder).read_bytes()).hexdigest()
        lines.append(f'    "{name}": "{digest}",\n')
    source = Path(integrity.__file__)
    table = f"PINS: dict[str, str] = {{\n{''.join(lines)}}}\n"
    source.write_text(re.sub(r"PINS: dict\[str, str\] = \{[^}]*\}\n", table, source.read_text()))


if __name__ == "__main__":
    main()
