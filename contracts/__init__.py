"""What every part of Codefence agrees on: messages, topics, codes and errors. No I/O."""
