"""Reading /proc: parsers that turn bytes into records, and ``ProcFS``, which finds the bytes.

Every parser is a pure function ``parse(bytes)`` in the module named after its file. It returns a frozen record or
raises ``MalformedError``, whatever the bytes are. A record's field that is ``None`` means: this kernel's file has no
such field. Collectors turn that None into an ``Absence``; it never becomes a zero. ``ProcFS`` (in ``root``) returns
a record or the ``Absence`` that says why there is none.
"""
