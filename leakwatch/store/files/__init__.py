"""The SQLite file: where it lies, who holds it, how it is opened and set aside."""
