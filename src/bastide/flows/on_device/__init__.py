"""What runs on a device: the agent and the simulated fleet run the same code."""
