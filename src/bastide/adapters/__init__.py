"""What the platform touches, one folder for each outside thing. Only wiring modules import them."""
