"""How modes are named and coloured, the same in every figure and table."""

from __future__ import annotations

from dataclasses import dataclass

from harness.plan.experiments import Mode


@dataclass(frozen=True)
class Colour:
    """A colour by its role, in the light and in the dark scheme."""

    light: str
    dark: str


# Okabe and Ito's palette, which people with colour-blindness tell apart; a little darker where
# it would be too pale on white, and lighter on black. No light colour may occur twice: in an
# SVG it is replaced by its role (see `svg`).
COLOURS = {
    "surface": Colour("#ffffff", "#14171c"),
    "ink": Colour("#1b1f24", "#e8eaed"),
    "muted": Colour("#5c636d", "#a3abb5"),
    "grid": Colour("#e2e5e9", "#2d333b"),
    "raised": Colour("#f6f7f9", "#1c2027"),
    "link": Colour("#0a58a8", "#7db8f2"),
    "limit": Colour("#222831", "#f2f4f7"),
    "fair": Colour("#6e4c1e", "#d9b98a"),
    "no_gpu": Colour("#868d96", "#9aa2ac"),
    "unsplit": Colour("#d55e00", "#f08445"),
    "unsplit_cooperative": Colour("#b8608f", "#d98bb5"),
    "paper": Colour("#00936b", "#35c49a"),
    "paper_ahead": Colour("#5a7d00", "#a8cf45"),
    "gpusplit_single": Colour("#4b5fc4", "#93a2f5"),
    "gpusplit": Colour("#0072b2", "#4ea6e0"),
    "pass": Colour("#17703a", "#5fd08a"),
    "fail": Colour("#b3261e", "#ff8a80"),
    "invalid": Colour("#805600", "#f0c04a"),
    "not_reproduced": Colour("#6b3fa0", "#c3a1f0"),
    "inconclusive": Colour("#0b6470", "#6fcbd6"),
    "does_not_arise": Colour("#57606a", "#9aa4ae"),
}

MODE_NAMES = {
    Mode.NO_GPU: "no GPU VM",
    Mode.UNSPLIT: "unsplit",
    Mode.UNSPLIT_COOPERATIVE: "unsplit, cooperative wait",
    Mode.PAPER: "the paper's method",
    Mode.PAPER_AHEAD: "the paper's, several in flight",
    Mode.GPUSPLIT_SINGLE: "gpusplit, one at a time",
    Mode.GPUSPLIT: "gpusplit",
}
"""How modes are called where there is little room."""

MODE_TEXTS = {
    Mode.NO_GPU: "the GPU VM is idle",
    Mode.UNSPLIT: "one launch, the driver's wait: what programs do today",
    Mode.UNSPLIT_COOPERATIVE: "one launch, the cooperative wait",
    Mode.PAPER: "split, the driver's wait: the paper's method",
    Mode.PAPER_AHEAD: "split, the driver's wait, several groups in flight",
    Mode.GPUSPLIT_SINGLE: "split, the cooperative wait, one group at a time",
    Mode.GPUSPLIT: "split, the cooperative wait, several groups in flight: this project's method",
}
"""What a mode is, for a reader who meets it first."""

# One symbol for each verdict, so that no reader depends on colours.
OUTCOMES = {
    "pass": ("✓", "pass"),
    "fail": ("✗", "fail"),
    "inconclusive": ("≈", "inconclusive"),
    "does_not_arise": ("·", "does not arise"),
    "invalid": ("?", "invalid"),
    "not_reproduced": ("≠", "not reproduced"),
}
"""Symbol and name of each verdict."""


def colour_of(mode: str) -> str:
    """Return a mode's colour in the light scheme."""
    return COLOURS[mode].light
