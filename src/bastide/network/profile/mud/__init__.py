"""Manufacturer Usage Description (RFC 8520): what a maker says its device must be able to reach.

``read`` takes bytes and gives a frozen ``MUDFile`` with notes on dialects, or refuses with one reason; ``write`` gives
the strict RFC form; ``signature`` judges the detached CMS signature of section 13.
"""
