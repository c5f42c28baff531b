"""The broker with real peers: nats-server, certificates of a real authority, unmodified mosquitto clients."""
