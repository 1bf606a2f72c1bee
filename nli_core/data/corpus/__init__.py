"""Tables of text: layout, reading, cleaning, splitting."""
