"""Pieces of a drawing and the lines between them: in a row, one below the other, around. Sizes in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

GAP = 16  # between two pieces of a row
INK, SOFT, LINE = "#1e2438", "#667085", "#98a2b3"


class Piece(NamedTuple):
    """A part of the drawing: its size, how far below its top the line runs through it, and its SVG."""

    width: float
    height: float
    axis: float
    svg: str


def at(x: float, y: float, svg: str) -> str:
    """The SVG moved to (x, y)."""
    return f'<g transform="translate({x:.1f} {y:.1f})">{svg}</g>'


def in_line(pieces: Sequence[Piece]) -> Piece:
    """Pieces one after the other, joined by arrows at the height of their axes."""
    if not pieces:
        return Piece(40, 24, 12, f'<line x1="0" y1="12" x2="40" y2="12" stroke="{LINE}" stroke-width="1.5"/>')
    axis = max(p.axis for p in pieces)
    height = axis + max(p.height - p.axis for p in pieces)
    parts, x = [], 0.0
    for i, piece in enumerate(pieces):
        if i:
            parts.append(arrow(x - GAP, axis, x))
        parts.append(at(x, axis - piece.axis, piece.svg))
        x += piece.width + GAP
    return Piece(x - GAP, height, axis, "".join(parts))


def arrow(x1: float, y: float, x2: float) -> str:
    """From the left to the right."""
    return (
        f'<path d="M{x1 + 1:.1f} {y:.1f}H{x2 - 1.5:.1f}M{x2 - 5.5:.1f} {y - 3:.1f}l4 3l-4 3" fill="none" '
        f'stroke="{LINE}" stroke-width="1.5"/>'
    )


def chip(title: str, text: str) -> Piece:
    """An end of the drawing: what comes in or out."""
    width = max(58.0, 7.2 * len(text) + 18)
    return Piece(
        width, 46, 23,
        f'<rect width="{width:.0f}" height="46" rx="23" fill="#f2f4f7" stroke="{LINE}"/>'
        + written(width / 2, 19, title, 11, SOFT) + written(width / 2, 35, text, 12, INK, bold=True),
    )  # fmt: skip


def written(x: float, y: float, text: str, size: float, fill: str, *, bold: bool = False) -> str:
    """Text with its middle at x, standing on y."""
    weight = ' font-weight="650"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="middle" fill="{fill}"{weight}>'
        f"{escape(text)}</text>"
    )


def around(lists: list[tuple[str, Piece]], side: float, told: str) -> tuple[Piece, float]:
    """A residual: its layers in line, and the way around them above, meeting in a plus.

    told: what the way around is where no layers are given for it.
    """
    body = next(piece for name, piece in lists if name != "shortcut")
    short = next((piece for name, piece in lists if name == "shortcut"), None)
    over = (short.height if short else 0) + 18.0
    width = max(body.width, short.width if short else 0) + 2 * side
    axis = over + body.axis
    level = short.axis if short else 8.0
    end = width - side / 2
    svg = (
        f'<path d="M0 {axis:.1f}H{width:.1f}M{side / 2:.1f} {axis:.1f}V{level:.1f}H{end:.1f}V{axis - 8:.1f}" '
        f'fill="none" stroke="{LINE}" stroke-width="1.5"/>'
    )
    x = (width - body.width) / 2
    svg += at(x, over, ground(body) + body.svg)
    if short:
        x = (width - short.width) / 2
        svg += at(x, 0, ground(short) + short.svg)
    if told:
        room = 6.4 * len(told) + 10
        svg += f'<rect x="{(width - room) / 2:.1f}" y="0" width="{room:.1f}" height="16" fill="#f7f8fa"/>'
        svg += written(width / 2, 12, told, 11, SOFT)
    svg += (
        f'<circle cx="{end:.1f}" cy="{axis:.1f}" r="8" fill="#fff" stroke="{INK}"/>'
        f'<path d="M{end - 4:.1f} {axis:.1f}h8M{end:.1f} {axis - 4:.1f}v8" stroke="{INK}" '
        'stroke-width="1.4"/>'
    )
    return Piece(width, over + body.height, axis, svg), axis


def ground(piece: Piece) -> str:
    """Ground for a piece, so that the line beneath it does not shine through."""
    return f'<rect width="{piece.width:.1f}" height="{piece.height:.1f}" fill="#f7f8fa"/>'


def stacked(pieces: list[Piece], side: float) -> tuple[Piece, float]:
    """Lists one below the other, the input led into each and the results led together."""
    if not side or len(pieces) < 2:
        one = pieces[0] if pieces else in_line([])
        return one, one.axis
    width = max(piece.width for piece in pieces) + 2 * side
    parts, axes, y = [], [], 0.0
    for piece in pieces:
        axes.append(y + piece.axis)
        parts.append(at((width - piece.width) / 2, y, piece.svg))
        y += piece.height + 10
    middle = (axes[0] + axes[-1]) / 2
    wires = f"M0 {middle:.1f}H{side / 2:.1f}M{width - side / 2:.1f} {middle:.1f}H{width:.1f}"
    wires += "".join(f"M{x:.1f} {axes[0]:.1f}V{axes[-1]:.1f}" for x in (side / 2, width - side / 2))
    for piece, axis in zip(pieces, axes, strict=True):
        room = (width - piece.width) / 2
        wires += f"M{side / 2:.1f} {axis:.1f}H{room:.1f}M{width - room:.1f} {axis:.1f}H{width - side / 2:.1f}"
    line = f'<path d="{wires}" fill="none" stroke="{LINE}" stroke-width="1.5"/>'
    return Piece(width, y - 10, middle, line + "".join(parts)), middle
