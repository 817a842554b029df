"""A network as a drawing for a slide: blocks sized by what comes out, shapes, parameters, groups framed.

A translator is drawn as its two stacks, and what the one hands to the other. In two steps like every
figure: `drawing_info` (which blocks, which of them folded) and `drawing_svg` (the picture, white behind it,
so that it looks the same wherever it is pasted). Sizes in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from html import escape
from typing import NamedTuple

from workbench.figures.pieces import GAP, INK, SOFT, Piece, around, at, chip, in_line, stacked, written
from workbench.figures.theme import GROUPS
from workbench.specs.base import AnyShape, Duel, Pair, Shape, Tokens
from workbench.specs.layer import show
from workbench.specs.layers import LAYERS
from workbench.specs.rows import Row, label, walk

WIDTH = 1180  # of a line of blocks
THIN = ("activation", "normalisation", "regularisation")  # drawn as slivers: they change no shape
MANY = 24  # rows; larger networks come with their groups folded


class Block(NamedTuple):
    """A layer or a group. lists: what an unfolded group holds, list by list, with the list's name."""

    label: str
    kind: str
    group: str
    shape: Shape
    parameters: int
    share: float  # of all parameters
    times: int  # repetitions of a repeat; 1 for anything else
    inside: int  # layers in a group
    lists: tuple[tuple[str, tuple[Block, ...]], ...] = ()  # type: ignore[misc]  # mypy: recursive tuples
    folded: bool = False
    own: int = 0  # parameters of a group that are in none of its layers: the projection of a residual


class DrawingInfo(NamedTuple):
    """The input, the blocks first to last, and the totals; of a translator also its decoder's blocks."""

    input: AnyShape
    blocks: tuple[Block, ...]
    parameters: int
    decoder: tuple[Block, ...] = ()


def foldable(rows: Sequence[Row]) -> list[str]:
    """Labels of all groups, in reading order."""
    return [row.label for row in walk(rows) if row.children]


def first_folds(rows: Sequence[Row]) -> list[str]:
    """Which groups come folded: those at the top of a large network."""
    if sum(1 for _ in walk(rows)) <= MANY:
        return []
    return [row.label for row in rows if row.children]


def drawing_info(rows: Sequence[Row], shape: AnyShape, folded: Collection[str] = ()) -> DrawingInfo:
    """Check: the parameters of the blocks sum to those of the model. Rows of a model that works."""
    total = sum(row.parameters for row in rows)
    second = [row.path[0] == "decoder" for row in rows]
    blocks, decoder = (
        tuple(_block(row, total, set(folded)) for row, is_second in zip(rows, second, strict=True)
              if is_second == wanted)
        for wanted in (False, True)
    )  # fmt: skip
    return DrawingInfo(shape, blocks, total, decoder)


def _block(row: Row, total: int, folded: set[str]) -> Block:
    lists: dict[str, list[Block]] = {}
    for child in row.children:
        lists.setdefault(label(child.path[len(row.path) : -1]), []).append(_block(child, total, folded))
    turns = row.children[0].times // row.times if row.kind == "repeat" and row.children else 1
    return Block(
        row.label, row.kind, LAYERS[row.kind].group, row.out_shape or (), row.parameters,
        row.parameters / total if total else 0.0, turns, sum(1 for _ in walk(row.children)),
        tuple((name, tuple(blocks)) for name, blocks in lists.items()), row.label in folded,
        row.parameters - sum(child.parameters for child in row.children) if row.children else 0,
    )  # fmt: skip


def drawing_svg(info: DrawingInfo, title: str = "") -> str:
    """The SVG as text. Groups carry data-fold with their label, for whoever wants to fold them by a click."""
    if isinstance(info.input, Pair | Duel):
        body = _two_stacks(info, info.input)
    else:
        body = _lines(_whole(info.blocks, "Input", info.input))
    y = 58.0 + body.height + 30
    width = body.width
    total_width = max(width + 56, 420)
    head = (
        f'<text x="28" y="34" font-size="17" font-weight="650" fill="{INK}">'
        f"{escape(title or 'Network')}</text>"
        f'<text x="{total_width - 28:.0f}" y="34" font-size="13" text-anchor="end" fill="{SOFT}">'
        f"{info.parameters:,} parameters</text>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total_width:.0f} {y:.0f}" '
        f'width="{total_width:.0f}" height="{y:.0f}" font-family="Inter, Source Sans Pro, Arial, sans-serif" '
        f'role="img" aria-label="{escape(title or "Network", quote=True)}">'
        f'<rect width="100%" height="100%" rx="10" fill="#ffffff"/>{head}{at(28, 58, body.svg)}</svg>'
    )


def _whole(blocks: Sequence[Block], title: str, shape: Shape, end: str = "Output") -> list[Piece]:
    """A stack from what comes in to what comes out."""
    pieces = [chip(title, show(shape)), *[_piece(block) for block in blocks]]
    return [*pieces, chip(end, show(blocks[-1].shape))] if blocks else pieces


def _lines(pieces: Sequence[Piece]) -> Piece:
    """Pieces in as many lines as they need."""
    lines: list[list[Piece]] = [[]]
    for piece in pieces:
        used = sum(p.width + GAP for p in lines[-1])
        if lines[-1] and used + piece.width > WIDTH:
            lines.append([])
        lines[-1].append(piece)
    y, width, parts = 0.0, 0.0, []
    for line in lines:
        row = in_line(line)
        parts.append(at(0, y, row.svg))
        width = max(width, row.width)
        y += row.height + 30
    return Piece(width, y - 30, 0, "".join(parts))


def _two_stacks(info: DrawingInfo, shape: Pair | Duel) -> Piece:
    """The encoder above the decoder, and what it looks at; or the generator above the discriminator."""
    handed = show(info.blocks[-1].shape) if info.blocks else "nothing"
    if isinstance(shape, Duel):
        first = _sheet_of(
            "Generator",
            "makes pictures of noise",
            _lines(_whole(info.blocks, "Noise", shape.noise, "Picture")),
        )
        second = _sheet_of(
            "Discriminator", "tells them from true ones",
            _lines(_whole(info.decoder, "Picture, true or made", shape.image, "Score")),
        )  # fmt: skip
        told = f"told from true ones: {handed}"
    else:
        first = _sheet_of(
            "Encoder", "reads the text", _lines(_whole(info.blocks, "Text", shape.source, "Hands on"))
        )
        second = _sheet_of(
            "Decoder", "writes the translation, token by token",
            _lines(_whole(info.decoder, "Translation so far", shape.target)),
        )  # fmt: skip
        told = f"looked at while each token is written: {handed}"
    width, gap = max(first.width, second.width), 44.0
    x, top = 60.0, first.height
    wire = (
        f'<path d="M{x} {top:.1f}V{top + gap - 2:.1f}M{x - 4} {top + gap - 8:.1f}l4 5.5l4 -5.5" fill="none" '
        f'stroke="{INK}" stroke-width="1.6" stroke-dasharray="5 3"/>'
        f'<text x="{x + 14}" y="{top + gap / 2 + 4:.1f}" font-size="11.5" fill="{SOFT}">'
        f"{escape(told)}</text>"
    )
    return Piece(width, top + gap + second.height, 0, first.svg + wire + at(0, top + gap, second.svg))


def _sheet_of(title: str, about: str, inner: Piece) -> Piece:
    """A stack on a sheet of its own, with its name."""
    pad, top = 16.0, 34.0
    width, height = max(inner.width, 330) + 2 * pad, inner.height + top + pad
    svg = (
        f'<rect width="{width:.1f}" height="{height:.1f}" rx="10" fill="#fafbfc" stroke="#d5dae3"/>'
        f'<text x="{pad}" y="22" font-size="13" font-weight="650" fill="{INK}">{title}'
        f'<tspan font-weight="400" fill="{SOFT}" dx="8">{about}</tspan></text>'
    )
    return Piece(width, height, 0, svg + at(pad, top, inner.svg))


def _piece(block: Block) -> Piece:
    if block.lists or block.group == "group":
        return _folded(block) if block.folded else _frame(block)
    return _sliver(block) if block.group in THIN else _leaf(block)


def _side(shape: Shape) -> float:
    """Height of a block: the larger the map or the longer the text, the taller, by doublings."""
    if len(shape) == 2 and not isinstance(shape, Tokens):
        return min(150.0, 58 + 9 * math.log2(max(1, shape[0])))
    side = max(shape[1:]) if len(shape) == 3 else 1
    return min(150.0, 58 + 13 * math.log2(max(1, side)))


def _leaf(block: Block) -> Piece:
    colour = GROUPS[block.group]
    texts = [block.kind, show(block.shape)]
    features = block.shape[1] if len(block.shape) == 2 else block.shape[0] if block.shape else 1
    width = max(64 + 2 * math.log2(1 + features), 6.9 * max(len(text) for text in texts) + 16)
    height = _side(block.shape)
    svg = (
        f'<rect width="{width:.1f}" height="{height:.1f}" rx="7" fill="{colour}" fill-opacity=".13" '
        f'stroke="{colour}" stroke-width="1.4"/>'
        + written(width / 2, height / 2 - 3, block.kind, 12, INK, bold=True)
        + written(width / 2, height / 2 + 13, show(block.shape), 11.5, SOFT)
    )
    if block.group == "recurrent":
        svg += _loop(width, colour)
    return Piece(width, height + 26, height / 2, svg + _weight(block, width, height))


def _loop(width: float, colour: str) -> str:
    """The arrow of a layer that hands its state from step to step."""
    x = width / 2
    return (
        f'<path d="M{x + 16:.1f} 16V9a5 5 0 0 0 -5 -5H{x - 11:.1f}a5 5 0 0 0 -5 5V15'
        f'M{x - 20:.1f} 11l4 5l4 -5" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    )


def _weight(block: Block, width: float, height: float) -> str:
    """Parameters under a block, and their share of the model as a bar."""
    if not block.parameters:
        return ""
    bar = max(1.5, block.share * (width - 8))
    return (
        written(width / 2, height + 14, f"{block.parameters:,}", 10.5, SOFT)
        + f'<rect x="4" y="{height + 19:.1f}" width="{width - 8:.1f}" height="3" rx="1.5" fill="#eaecf0"/>'
        + f'<rect x="4" y="{height + 19:.1f}" width="{bar:.1f}" height="3" rx="1.5" '
        f'fill="{GROUPS[block.group]}"/>'
    )


def _sliver(block: Block) -> Piece:
    colour = GROUPS[block.group]
    height = max(_side(block.shape), 6.4 * len(block.kind) + 18)
    svg = (
        f'<rect width="22" height="{height:.1f}" rx="5" fill="{colour}" fill-opacity=".13" '
        f'stroke="{colour}"/>'
        f'<text transform="translate(15 {height / 2:.1f}) rotate(-90)" font-size="11" text-anchor="middle" '
        f'fill="{INK}">{escape(block.kind)}</text>'
    )
    return Piece(22, height, height / 2, svg)


def _folded(block: Block) -> Piece:
    colour = GROUPS["group"]
    title = block.kind + (f" × {block.times}" if block.times > 1 else "")
    inner = f"{block.inside} layers" if block.inside != 1 else "1 layer"
    width = max(96.0, 7.2 * max(len(title), len(show(block.shape)), len(inner)) + 18)
    height = _side(block.shape)
    sheet = (
        f'<rect x="5" y="-5" width="{width:.1f}" height="{height:.1f}" rx="8" fill="#fff" stroke="{colour}" '
        'stroke-opacity=".55"/>'
        if block.times > 1
        else ""
    )
    svg = (
        f'<g data-fold="{escape(block.label, quote=True)}">{sheet}'
        f'<rect width="{width:.1f}" height="{height:.1f}" rx="8" fill="#eef1f6" stroke="{colour}" '
        'stroke-width="1.4"/>'
        + written(width / 2, height / 2 - 11, title, 12.5, INK, bold=True)
        + written(width / 2, height / 2 + 5, inner, 11, SOFT)
        + written(width / 2, height / 2 + 21, show(block.shape), 11.5, SOFT)
        + "</g>"
    )
    return Piece(width, height + 26, height / 2, svg + _weight(block, width, height))


def _frame(block: Block) -> Piece:
    """An unfolded group: its lists inside a frame, the title above."""
    lists = [(name, in_line([_piece(inner) for inner in blocks])) for name, blocks in block.lists]
    title = block.kind + (f" × {block.times}" if block.times > 1 else "")
    pad, top = 14.0, 26.0
    side = (
        26.0 if block.kind not in ("repeat", "window_norm") else 0.0
    )  # room for the lines that part and meet again
    if block.kind == "residual":
        inner, axis = around(lists, side, "1×1 projection" if block.own else "")
    elif block.kind == "skip":
        inner, axis = around(lists, side, "its input beside it")
    else:
        inner, axis = stacked([piece for _, piece in lists], side)
    width = max(inner.width + 2 * pad, 7.4 * len(title) + 2 * pad)
    height = inner.height + top + pad
    frame = (
        f'<rect width="{width:.1f}" height="{height:.1f}" rx="10" fill="#64748b" fill-opacity=".05" '
        f'stroke="#64748b" stroke-dasharray="4 3"/>'
        f'<g data-fold="{escape(block.label, quote=True)}"><rect width="{width:.1f}" height="22" fill="#fff" '
        f'fill-opacity="0"/><text x="{pad}" y="17" font-size="12" font-weight="650" fill="{INK}">'
        f"{escape(title)}</text></g>"
    )
    svg = frame + at(pad + (width - 2 * pad - inner.width) / 2, top, inner.svg)
    svg += _weight(block, width, height)
    return Piece(width, height + 26, top + axis, svg)
