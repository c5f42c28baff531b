"""What one connection to the broker may do, what its messages must look like, and what the broker's own log says of it.

Rules only: grants, the claims of a connection, admission of messages, the log's lines.
"""
