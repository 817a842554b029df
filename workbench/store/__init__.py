"""Records ↔ database and artifact files. The public face: `open_store()` and `Store`."""

from workbench.store.runs import RunRow
from workbench.store.store import Store, open_store

__all__ = ["RunRow", "Store", "open_store"]
