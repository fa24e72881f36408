"""A block of a planned Gram matrix, made of the tiles that fit the cache: what one chunk of a store holds."""

import torch

from rgflow.theory.gram_matrix import Spans, tile_spans
from rgflow.theory.gram_planning import GramPlan
from rgflow.theory.gram_store import GramStore, TileIndex
from rgflow.theory.gram_tiles import GramTile, gram_tile

__all__ = ["compute_tile", "gram_block"]


def gram_block(plan: GramPlan, rows: slice, columns: slice) -> GramTile:
    """Return the entries of `rows` and `columns` (both with start and stop) of the matrices that were asked for.

    On the diagonal of a symmetric plan (rows == columns) the block is symmetric to the last bit.
    Shapes: (rows, columns) each, on the CPU. Errors: `plan.error`.
    """
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    block = [torch.empty(shape, dtype=plan.dtype) if name in plan.kind else None for name in ("kernel", "tangent")]
    for spans in tile_spans(plan, Spans(rows, columns)):
        tile = gram_tile(plan, spans.rows, spans.columns)
        a = slice(spans.rows.start - rows.start, spans.rows.stop - rows.start)
        b = slice(spans.columns.start - columns.start, spans.columns.stop - columns.start)
        for whole, part in zip(block, (tile.kernel, tile.tangent), strict=True):
            if whole is None or part is None:
                continue
            whole[a, b] = part
            if plan.symmetric and rows == columns and a != b:
                whole[b, a] = part.T
    return GramTile(block[0], block[1])


def compute_tile(store: GramStore, plan: GramPlan, tile: TileIndex) -> None:
    """Compute one tile of a store, write it and record it as finished; leave it alone if it is finished."""
    # A scheduler asks again for what a dead worker had finished: it forgets with the worker, the store does not.
    if not store.has(tile):
        store.write(tile, gram_block(plan, store.rows(tile), store.columns(tile)))
