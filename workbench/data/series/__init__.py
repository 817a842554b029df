"""Series: steps of numbers in time; understood, made regular, stored and cut into windows."""
