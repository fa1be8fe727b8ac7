"""The one error a parser raises."""


class MalformedError(ValueError):
    """The bytes are not in the format the parser was written for; the message says what was expected."""
