"""The time-series store: SQLite through SQLAlchemy Core. The only package that knows either."""
