"""Alembic's entry: runs the migrations on the one connection it is handed, or on the URL of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import context
from sqlalchemy import create_engine

from leakwatch.store.schema import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection


def run(connection: Connection) -> None:
    # Batch mode drops and re-creates tables: with foreign keys on, a cascade would delete every sample without an error.
    connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.commit()
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    # Only by hand: `alembic -x url=sqlite:///leakwatch.db upgrade head` in a checkout.
    with create_engine(context.get_x_argument(as_dictionary=True)["url"]).connect() as own:
        run(own)
