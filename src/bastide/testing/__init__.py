"""Public: in-memory ports that behave, a fake clock, a simulated fleet."""
