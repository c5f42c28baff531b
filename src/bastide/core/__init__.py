"""The words that travel between areas. A type enters here only when two areas exchange it.

Everything is a frozen value; nothing here touches a file, a socket or a clock. Times are aware datetimes in UTC,
ids and randomness are handed in by whoever makes a value.
"""
