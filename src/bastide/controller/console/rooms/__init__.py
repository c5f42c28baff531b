"""The rooms: one module each, with its addresses, who may enter, and which view it shows."""
