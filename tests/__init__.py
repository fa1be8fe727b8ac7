"""The tests, in the tree of the package; helpers are imported as ``tests.ROOM.MODULE``."""
