"""What runs on a device. It imports nothing of the controller's, and is installed alone (extra ``agent``)."""
