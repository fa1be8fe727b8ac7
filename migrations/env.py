"""Alembic's entry: runs the migrations on the one connection it is handed, or on the URL of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import context

from leakwatch.store.files import engine
from leakwatch.store.files.lock import path_of_url
from leakwatch.store.tables import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection


def run(connection: Connection) -> None:
    """Run the migrations asked for as one transaction: a store is never left between two schemas."""
    # Batch mode drops and re-creates tables: with foreign keys on, a cascade would delete every sample without an
    # error. Within a transaction the setting has no effect, so it is made on the driver, before one begins.
    engine.driver_of(connection).execute("PRAGMA foreign_keys=OFF")
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        # Alembic believes that SQLite cannot; that is only the driver's default.
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    # Only by hand: `alembic -x url=sqlite:///leakwatch.db upgrade head` in a checkout.
    own = engine.connect_writer(path_of_url(context.get_x_argument(as_dictionary=True)["url"]))
    try:
        run(own)
    finally:
        engine.disconnect(own)
