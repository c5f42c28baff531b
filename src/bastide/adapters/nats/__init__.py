"""nats-server: its configuration, connections to it, and what is kept in it (streams, key-value buckets, sessions)."""
