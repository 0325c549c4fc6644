"""Other people's weights, key by key, in and out."""

from lookharder.models.foreign.networks import Imported, export_state, import_network, load_network

__all__ = ["Imported", "export_state", "import_network", "load_network"]
