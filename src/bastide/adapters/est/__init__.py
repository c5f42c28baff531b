"""EST as a device speaks it, and the folder in which a device keeps what it got."""
