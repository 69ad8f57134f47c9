"""Plans side by side: run in turns, in shuffled order, until their medians can be told apart or are a tie."""
