"""What is known of a fleet: inventory, component, vulnerability, anomaly, incident, lifecycle. Rules only."""
