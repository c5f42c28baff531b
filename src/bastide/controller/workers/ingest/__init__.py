"""Ingest: a process of its own (``python -m bastide.controller.workers.ingest``) between devices and everybody else.

    broker ──► intake (declared? within size and rate? minimised) ──► journal (one fsync a batch) ──► PUBACK
                                                                          └──► republished, and a sample file a flush

It holds no database credentials: what each device may send it knows from the broker's bucket ``plans``.
"""
