"""Where files come from: corpora and encoders by name, address or path, verified before use."""
