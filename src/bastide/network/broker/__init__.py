"""What a connection to the broker may do, and which of its messages are let in."""
