"""Risk of a device: impact, exposure and likelihood, each with the terms that made it."""
