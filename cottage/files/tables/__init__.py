"""Files of any kind as rows of cells of text. Nothing here knows what they mean."""
