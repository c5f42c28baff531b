"""The demo fleet: simulated devices with real keys and a real protocol stack."""
