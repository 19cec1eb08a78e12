"""How to steer: levers, their model, and the search for proposals."""
