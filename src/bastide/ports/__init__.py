"""What the flows need of the world, as Protocols, with the errors that they let out.

Adapters implement them; ``bastide.testing`` holds in-memory ones that behave, and one test suite runs over both.
"""
