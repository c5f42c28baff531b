"""How a device may talk: profile, segmentation, traffic, broker. Rules only."""
