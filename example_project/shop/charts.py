"""Charts as SVG text. Colours come from the page's stylesheet by class, so they follow its dark mode."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from example_project.shop.templatetags.shop import money

WIDTH, HEIGHT = 720, 260
TOP, BOTTOM = 24, 28  # room for the totals above the columns, and for the labels below
COLUMN = 0.56  # share of its slot that a column takes


def stacked_columns(title: str, labels: Sequence[str], series: Mapping[str, Sequence[int]]) -> str:
    """A column for each label, in it a block for each name of `series`; amounts are cents."""
    totals = [sum(values) for values in zip(*series.values(), strict=True)]
    slot = WIDTH / len(labels)
    columns = [
        format_html(
            '<g>{}<text class="chart-total" x="{x}" y="{y}">{}</text><text x="{x}" y="{foot}">{}</text></g>',
            _joined(_blocks(series, index, max(totals), slot)),
            f"{totals[index] // 100:,}",
            label,
            x=_number((index + 0.5) * slot),
            y=_number(_y(totals[index], max(totals)) - 7),
            foot=HEIGHT - 8,
        )
        for index, label in enumerate(labels)
    ]
    return format_html(
        '<figure class="chart"><figcaption>{title}<ul>{legend}</ul></figcaption>'
        '<svg viewBox="0 0 {width} {height}" role="img" aria-label="{title}">{columns}'
        '<line x2="{width}" y1="{foot}" y2="{foot}"/></svg></figure>',
        title=title,
        legend=format_html_join("", '<li class="series-{}">{}</li>', enumerate(series)),
        width=WIDTH,
        height=HEIGHT,
        foot=HEIGHT - BOTTOM,
        columns=_joined(columns),
    )


def _blocks(series: Mapping[str, Sequence[int]], index: int, most: int, slot: float) -> Iterator[SafeString]:
    below = 0
    for number, (name, values) in enumerate(series.items()):
        top, foot = _y(below + values[index], most), _y(below, most)
        below += values[index]
        yield format_html(
            '<rect class="series-{}" x="{}" y="{}" width="{}" height="{}"><title>{}: {}</title></rect>',
            number,
            _number((index + (1 - COLUMN) / 2) * slot),
            _number(top),
            _number(COLUMN * slot),
            _number(foot - top),
            name,
            money(values[index]),
        )


def _joined(parts: Iterable[SafeString]) -> SafeString:
    return format_html_join("", "{}", ((part,) for part in parts))


def _y(amount: int, most: int) -> float:
    room = HEIGHT - TOP - BOTTOM
    return TOP + room * (1 - amount / most) if most else TOP + room


def _number(value: float) -> str:
    return f"{value:.1f}"  # never in the words of a locale
