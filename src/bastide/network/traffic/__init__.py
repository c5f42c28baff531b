"""Packets, flows, protocols and what devices say of themselves. Pure rules over bytes and numpy arrays.

``kernel`` is the compiled fast path: every packet, flows and counters, bounded tables. ``dissect`` is the deep path: the
few payloads that the kernel selects, one small module for each protocol. ``survey`` folds both into devices, services
and findings. Nothing here opens a file: an adapter hands in windows of bytes.
"""
