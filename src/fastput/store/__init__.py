"""The control plane: creates, completes, aborts and looks at what the transport's parts become."""

from fastput.store.base import Completed, Store, StoreOptions

__all__ = ["Completed", "Store", "StoreOptions"]
