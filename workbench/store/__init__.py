"""Records ↔ database and artifact files. The public face: `open_store()` and `Store`."""

from workbench.store.rows import RunRow
from workbench.store.search import Query
from workbench.store.store import Store, open_store, own_presets

__all__ = ["Query", "RunRow", "Store", "open_store", "own_presets"]
