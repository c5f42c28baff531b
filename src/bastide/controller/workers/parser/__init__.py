"""The parser process: reads captures in a sandbox and writes plain values. No credentials, no network, no files.

``python -m bastide.controller.workers.parser`` reads one JSON line from standard input (the order: open descriptors of
captures, limits, a fingerprint base) and writes JSON lines: ``stage``, ``progress``, then ``report``; or ``refused`` with one
sentence where a file is no capture.
"""
