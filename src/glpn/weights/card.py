"""Model cards: the terms that a model's `README.md` states, passed on to models made from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

CARD_NAME = "README.md"
_MAX_CHARACTERS = 1 << 20


def read_card(folder: Path) -> str:
    """The text of a folder's card; empty if there is none."""
    path = folder / CARD_NAME
    if not path.is_file():  # a named pipe could make the reader wait
        return ""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MAX_CHARACTERS)
    except OSError:
        return ""


def stated_terms(card: str) -> str:
    """The licence in a card's front matter; empty if it states none."""
    values = dict(_front_matter(card))
    return values.get("license_name") or values.get("license", "")


def section(card: str, title: str) -> str:
    """The lines below the first heading `## title`, up to the next `##` heading."""
    return f"\n{card}".partition(f"\n## {title}\n")[2].partition("\n## ")[0].strip()


def inherited_card(name: str, sources: Mapping[str, Path], verb: str) -> str | None:
    """A card for a model made from others, with their terms; None if none of them states any.

    Args:
        name: the new model's name.
        sources: what each model is called, and its folder.
        verb: "Trained" or "Converted".
    """
    cards = {source: read_card(folder) for source, folder in sources.items()}
    cards = {source: card for source, card in cards.items() if stated_terms(card)}
    if not cards:
        return None
    distinct = list(dict.fromkeys(map(stated_terms, cards.values())))
    licence = {"license": "; ".join(distinct)}
    if len(distinct) == 1:
        front = _front_matter(next(iter(cards.values())))
        licence = {key: value for key, value in front if key.startswith("license")}
    origin = " and ".join(f"`{source}`" for source in cards)
    lines = ["---", f"name: {name}", *(f"{key}: {value}" for key, value in licence.items())]
    lines += [f"base_model: {', '.join(cards)}", "---", "", f"# {name}", ""]
    lines += [f"{verb} from {origin}. {'Its' if len(cards) == 1 else 'Their'} terms apply."]
    for source, card in cards.items():
        terms = section(card, "Terms")
        title = "Terms" if len(cards) == 1 else f"Terms of {source}"
        lines += ["", f"## {title}", "", terms] if terms else []
    return "\n".join(lines) + "\n"


def _front_matter(card: str) -> list[tuple[str, str]]:
    """The keys and values between the first two `---` of a card."""
    lines = [line.strip() for line in card.splitlines()]
    if not lines or lines[0] != "---":
        return []
    end = lines.index("---", 1) if "---" in lines[1:] else len(lines)
    pairs = (line.partition(":") for line in lines[1:end])
    return [(key.strip(), value.strip().strip("\"'")) for key, _, value in pairs]
