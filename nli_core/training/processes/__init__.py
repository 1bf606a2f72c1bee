"""The processes of the ranks that train one model, and their links to the caller."""
