"""Labels: symbols with text and logo, as pictures, sheets and printer commands, streamed for millions."""
