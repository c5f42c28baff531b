"""What the platform does, one file for each thing. Flows use ports and rules, never an adapter."""
