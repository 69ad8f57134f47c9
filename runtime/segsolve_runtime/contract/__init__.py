"""What a plan folder holds and what goes in and out of a pipeline; read by everything else, and imports none of it."""
