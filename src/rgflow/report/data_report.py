"""The report of `rgflow data`: the structure card of one dataset, as text, JSON and page.

Units: those of `StructureCard`; times are in seconds.
"""

import os
from dataclasses import dataclass

from rgflow.records.structure_card import StructureCard
from rgflow.report.digits import count

__all__ = ["DataReport", "sentence"]


@dataclass(frozen=True)
class DataReport:
    """The card of one dataset, with the version of rgflow that made it."""

    version: str
    card: StructureCard

    @property
    def seed(self) -> int:
        """The seed of every draw behind the card."""
        return self.card.seed

    @property
    def timing(self) -> dict[str, float]:
        """Seconds for each stage."""
        return self.card.timing

    @property
    def headline(self) -> str:
        """What the ladder says, in one sentence: the simplest model that nothing beats, or that it is undetermined."""
        ladder = self.card.ladder
        if ladder.chosen is None:
            return f"Undetermined: {ladder.reason.rstrip('. ')}.{self._needed}"
        parameters = ladder.rung(ladder.chosen).parameters
        words = "1 parameter" if parameters == 1 else f"{count(parameters)} parameters"
        if ladder.generic_parameters == "infinite":
            return f"{ladder.chosen}: {words}; no finite table holds every law of real numbers."
        return f"{ladder.chosen}: {words}; a look-up table of all states has {ladder.generic_parameters}."

    @property
    def reason(self) -> str:
        """Why the ladder ended where it did, in one or two sentences."""
        return sentence(self.card.ladder.reason) + self._needed

    @property
    def _needed(self) -> str:
        needed = self.card.ladder.needed_samples
        return "" if needed is None else f" About {needed:,} samples would decide."

    def table(self, width: int = 120) -> str:
        """Return the card as text of at most `width` columns (never below 60)."""
        from rgflow.report.data_text import data_text

        return data_text(self, width)

    def to_json(self) -> str:
        """Return the card as JSON of schema `rgflow.data/1`."""
        from rgflow.report.data_json import data_json

        return data_json(self)

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the card as one self-contained HTML page; it appears under `path` only when complete."""
        from rgflow.report.data_page import write_data_page

        write_data_page(self, path)


def sentence(text: str) -> str:
    """Return `text` with a capital letter and one full stop, or nothing for nothing."""
    return text[:1].upper() + text[1:].rstrip(". ") + "." if text else ""
