"""Every SQL statement of the store, as functions that return statements; a module a noun."""
