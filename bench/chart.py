"""A bar chart as an SVG of plain text, which a browser shows in its reader's light or dark colours."""

from collections.abc import Mapping
from html import escape

from bench.report import number

WIDTH, LEFT, RIGHT = 760, 200, 90
TOP, STEP, BAR, BELOW = 54, 34, 22, 30
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.note { font-size: 11px; fill: #59636e }
.paper { fill: #ffffff }
.other { fill: #9aa4af }
.ours { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .note { fill: #9198a1 }
  .paper { fill: #0d1117 }
  .other { fill: #656c76 }
  .ours { fill: #4493f8 }
}
"""


def chart(title: str, unit: str, bars: Mapping[str, float], note: str) -> str:
    """Horizontal bars in the given order, each with its figure; those of Homedex stand out.

    Args:
        title: what was measured, and which way is better.
        unit: of the figures.
        bars: label -> value.
        note: when and where it was measured.
    """
    height = TOP + STEP * len(bars) + BELOW
    longest = max(bars.values())
    told = "; ".join(f"{label}: {number(value)} {unit}" for label, value in bars.items())
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(f'{title}. {told}')}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>',
        f'<text class="title" x="16" y="30">{escape(title)}</text>',
    ]
    for place, (label, value) in enumerate(bars.items()):
        top = TOP + STEP * place
        width = max(1.0, value / longest * (WIDTH - LEFT - RIGHT))
        kind = "ours" if label.startswith("Homedex") else "other"
        lines += [
            f'<text x="{LEFT - 10}" y="{top + 16}" text-anchor="end">{escape(label)}</text>',
            f'<rect class="{kind}" x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR}" rx="2"/>',
            f'<text x="{LEFT + width + 8:.1f}" y="{top + 16}">{number(value)} {escape(unit)}</text>',
        ]
    return "\n".join([*lines, f'<text class="note" x="16" y="{height - 12}">{escape(note)}</text>', "</svg>", ""])
